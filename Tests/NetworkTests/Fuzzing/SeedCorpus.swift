// Valid frames of every kind that the stack understands: what mutation begins from.

import SwiftletNetwork

enum SeedCorpus {
    private static let own = LonelyStack.address
    private static let peer = LonelyStack.peer

    static func ethernet(_ packet: [UInt8], group: Bool = false) -> [UInt8] {
        Frames.ethernet(
            to: group ? Frames.broadcast : LonelyStack.hardware, from: LonelyStack.peerHardware,
            type: 0x0800, packet)
    }

    private static func packet(
        _ number: UInt8, _ payload: [UInt8], fragment: Int = 0, options: [UInt8] = []
    ) -> [UInt8] {
        ethernet(
            Frames.ipv4(
                from: peer, to: own, protocolNumber: number, payload, fragment: fragment,
                options: options))
    }

    /// One frame of each kind.
    static let frames: [[UInt8]] = {
        let datagram = Frames.udp(
            from: (peer, 53), to: (own, 53), [UInt8](repeating: 0x55, count: 64))
        let quoted = Frames.ipv4(
            from: own, to: peer, protocolNumber: 6,
            Array(
                Frames.tcp(
                    from: (own, 80), to: (peer, 4000), sequence: 1, acknowledgement: 1,
                    flags: 0x10)[0..<8]), fragment: 0x4000)
        let quotedUDP = Frames.ipv4(
            from: own, to: peer, protocolNumber: 17, Array(datagram[0..<8]))
        var frames: [[UInt8]] = [
            Frames.arp(
                operation: 1, sender: (LonelyStack.peerHardware, peer), target: (0, own),
                to: Frames.broadcast),
            Frames.arp(
                operation: 2, sender: (LonelyStack.peerHardware, peer),
                target: (LonelyStack.hardware, own), to: LonelyStack.hardware),
            packet(1, Frames.icmp(type: 8, code: 0, rest: 1, [1, 2, 3, 4, 5])),
            packet(1, Frames.icmp(type: 3, code: 3, quotedUDP)),
            packet(1, Frames.icmp(type: 3, code: 4, rest: 1000, quoted)),
            packet(17, datagram),
            packet(17, Frames.udp(from: (peer, 9), to: (own, 9), [1])),
            packet(17, datagram, options: [1, 1, 148, 4, 0, 0, 0, 0]),
            packet(17, Array(datagram[0..<32]), fragment: 0x2000),
            packet(17, Array(datagram[32...]), fragment: 4),
            packet(132, [1, 2, 3, 4]),
            ethernet(
                Frames.ipv4(from: peer, to: .broadcast, protocolNumber: 17, datagram), group: true),
        ]
        for flags: UInt8 in [0x02, 0x10, 0x18, 0x11, 0x04, 0x14, 0x12, 0x29, 0x00] {
            frames.append(
                packet(
                    6,
                    Frames.tcp(
                        from: (peer, 4000), to: (own, 80), sequence: 1000, acknowledgement: 77,
                        flags: flags, flags & 8 != 0 ? [1, 2, 3] : [])))
        }
        return frames + framesIPv6
    }()

    /// The frames as one script for `fuzzNetworkStack`, with polls and sends between them.
    static var script: [UInt8] {
        var script: [UInt8] = []
        for (index, frame) in frames.enumerated() {
            script += [UInt8(index & 3)] + be16(frame.count) + frame
            if index % 3 == 0 { script += [UInt8(4 + index % 4), 0, 4, 1, 2, 3, 4] }
        }
        return script
    }

    /// One frame as a script.
    static func record(_ frame: [UInt8]) -> [UInt8] { [0] + be16(frame.count) + frame }

    /// Sets the checksums right again, so that a mutation gets past them.
    static func mend(_ frame: inout [UInt8]) {
        guard frame.count >= 34 else { return }
        if frame[12] == 0x86, frame[13] == 0xDD { return mendIPv6(&frame) }
        guard frame[12] == 8, frame[13] == 0 else { return }
        let headerLength = max(20, Int(frame[14] & 15) * 4)
        guard frame.count >= 14 + headerLength else { return }
        put(&frame, at: 24, over: 14..<14 + headerLength, pseudo: [])
        let total = min(frame.count - 14, Int(frame[16]) << 8 | Int(frame[17]))
        guard total > headerLength else { return }
        let payload = 14 + headerLength..<14 + total
        let pseudo = Array(frame[26..<34]) + [0, frame[23]] + be16(payload.count)
        switch frame[23] {
        case 1: put(&frame, at: payload.lowerBound + 2, over: payload, pseudo: [])
        case 6: put(&frame, at: payload.lowerBound + 16, over: payload, pseudo: pseudo)
        case 17: put(&frame, at: payload.lowerBound + 6, over: payload, pseudo: pseudo)
        default: break
        }
    }

    static func put(
        _ frame: inout [UInt8], at offset: Int, over range: Range<Int>, pseudo: [UInt8]
    ) {
        guard offset + 2 <= range.upperBound else { return }
        frame[offset] = 0
        frame[offset + 1] = 0
        var sum = UInt32(naiveSum(pseudo))
        var index = range.lowerBound
        while index < range.upperBound {
            sum += UInt32(frame[index]) << 8
            if index + 1 < range.upperBound { sum += UInt32(frame[index + 1]) }
            index += 2
        }
        while sum > 0xFFFF { sum = (sum >> 16) + (sum & 0xFFFF) }
        frame[offset] = UInt8(truncatingIfNeeded: ~sum >> 8)
        frame[offset + 1] = UInt8(truncatingIfNeeded: ~sum)
    }
}
