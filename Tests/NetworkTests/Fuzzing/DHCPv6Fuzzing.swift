// Servers of stateless DHCPv6 that answer whatever a fuzzer wants.

import SwiftletNetwork
import SwiftletTestSupport

/// The client of stateless DHCPv6: its times, and the options of answers to its questions.
enum DHCPv6Fuzzing: FuzzTarget {
    static let name = "dhcpv6"
    static let seeds: [[UInt8]] = {
        let question: [UInt8] = [11, 0, 0, 0]
        func record(_ time: Int, _ change: (inout DHCPv6ServerMessage) -> Void) -> [UInt8] {
            var message = DHCPv6ServerMessage(to: question)
            change(&message)
            let options = message.octets[4...]
            return [UInt8(time), UInt8(options.count)] + options
        }
        let plain = record(1) { _ in }
        let timed = record(130) {
            $0.set(32, be32(700))
            $0.set(83, be32(60))
            $0.set(13, be16(0))
        }
        return [
            plain, timed + plain, record(255) { $0.set(13, be16(2)) } + timed,
            record(3) { $0.set(1, nil) } + record(4) { $0.set(2, nil) } + plain,
            [128, 6, 0, 23, 0, 17, 1, 1],
        ]
    }()

    /// Each record is a time, a length, and so many octets of options behind the right number.
    static func run(_ octets: RawSpan) {
        let octets = octets.withUnsafeBytes { Array($0) }
        var client = DHCPv6Client(hardwareAddress: LonelyStack.hardware)
        var now = Instant(nanoseconds: 1_000_000_000)
        var random = SeededRandom(seed: UInt64(octets.count))
        var transaction: [UInt8] = [0, 0, 0]
        var offset = 0
        while offset + 2 <= octets.count {
            let time = UInt64(octets[offset])
            let length = min(Int(octets[offset + 1]), octets.count - offset - 2)
            let options = octets[offset + 2..<offset + 2 + length]
            offset += 2 + length
            // Up to a few seconds, or in steps of ten minutes.
            let step = time < 128 ? time * 50_000_000 : (time - 127) * 600_000_000_000
            let end = Instant(nanoseconds: now.nanoseconds + step)
            if client.isDue(now: now) { client.start(now: now) }
            var sent = 0
            walk: while true {
                switch client.nextAction(now: now, random: random.next()) {
                case .send(let question):
                    precondition(question.count == 34)
                    transaction = Array(question[1..<4])
                    sent += 1
                    // Never more often than the first time, less a tenth.
                    precondition(sent <= 2 + Int(step / 900_000_000))
                case .wait(let deadline):
                    precondition(deadline > now)
                    if deadline > end { break walk }
                    now = deadline
                case .finished: break walk
                }
            }
            now = end
            let answer = [7] + transaction + options
            client.receive(answer.span.bytes, now: now)
            precondition(client.nameServers.count <= 6)
            precondition(client.nameServers.allSatisfy { !$0.isMulticast && $0.high != 0 })
        }
    }
}
