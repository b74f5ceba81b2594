// A DHCP server that answers whatever a fuzzer wants, to the question that was asked last.

import SwiftletNetwork
import SwiftletTestSupport

/// The DHCP client: its states, and the options of messages that are meant for it.
enum DHCPFuzzing: FuzzTarget {
    static let name = "dhcp"
    static let seeds: [[UInt8]] = {
        let lease =
            [54, 4, 192, 168, 7, 1, 1, 4, 255, 255, 255, 0, 3, 4, 192, 168, 7, 1]
            + [51, 4, 0, 0, 14, 16, 58, 4, 0, 0, 7, 8, 59, 4, 0, 0, 12, 78, 255]
        let offer = [53, 1, 2] + lease
        let acknowledgement = [53, 1, 5] + lease
        let refusal = [53, 1, 6, 54, 4, 192, 168, 7, 1, 255]
        func record(_ time: Int, _ options: [Int]) -> [UInt8] {
            ([time, options.count] + options).map { UInt8($0) }
        }
        let bound = record(1, offer) + record(1, acknowledgement)
        return [
            bound, bound + record(255, acknowledgement), bound + record(200, refusal),
            record(1, offer) + record(1, refusal) + bound, record(1, [52, 1, 3, 255]),
        ]
    }()

    /// Each record is a time, a length, and so many octets of options.
    static func run(_ octets: RawSpan) {
        let octets = octets.withUnsafeBytes { Array($0) }
        var stack = NetworkStack(
            device: SimulatedDevice(hardwareAddress: LonelyStack.hardware), secret: (1, 2))
        var now = Instant(nanoseconds: 1_000_000_000)
        var transaction: [UInt8] = [0, 0, 0, 0]
        stack.configure(.dhcp, now: now)
        var offset = 0
        while offset + 2 <= octets.count {
            let time = UInt64(octets[offset])
            let length = min(Int(octets[offset + 1]), octets.count - offset - 2)
            let options = octets[offset + 2..<offset + 2 + length]
            offset += 2 + length
            // Up to a few seconds, or in steps of a minute.
            let step = time < 128 ? time * 50_000_000 : (time - 127) * 60_000_000_000
            let end = Instant(nanoseconds: now.nanoseconds + step)
            var polls = 0
            while stack.nextDeadline <= end, polls < 100 {
                now = max(now, stack.nextDeadline)
                stack.poll(now: now)
                polls += 1
            }
            now = end
            for frame in stack.interface.device.collect()
            where frame.count > 50 && frame[34..<38].elementsEqual([0, 68, 0, 67]) {
                transaction = Array(frame[46..<50])
            }
            let frame = answer(transaction, Array(options))
            stack.receive(frame.span.bytes, checksumVerified: true, now: now)
            while stack.nextEvent() != nil {}
        }
        if let configuration = stack.configuration {
            precondition(configuration.network.prefixLength <= 32)
        }
    }

    private static func answer(_ transaction: [UInt8], _ options: [UInt8]) -> [UInt8] {
        var message: [UInt8] = [2, 1, 6, 0] + transaction + [0, 0, 0, 0, 0, 0, 0, 0]
        message += be32(LonelyStack.address.bits) + [UInt8](repeating: 0, count: 8)
        message += be48(LonelyStack.hardware)
        message += [UInt8](repeating: 0, count: 236 - message.count) + [0x63, 0x82, 0x53, 0x63]
        let datagram = Frames.udp(
            from: (LonelyStack.peer, 67), to: (LonelyStack.address, 68), message + options)
        return Frames.ethernet(
            to: LonelyStack.hardware, from: LonelyStack.peerHardware, type: 0x0800,
            Frames.ipv4(
                from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 17, datagram))
    }
}
