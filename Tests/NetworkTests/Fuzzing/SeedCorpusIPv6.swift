// Valid frames of IPv6, of every kind that the stack understands, and their checksums mended.

import SwiftletNetwork

extension SeedCorpus {
    /// The address that a stack with the lonely one's card makes for itself.
    private static let own = LonelyStack(ipv6: .automatic).linkLocal
    private static let peer = LonelyStack.neighbour

    private static func frame(_ packet: [UInt8]) -> [UInt8] {
        let isGroup = packet[24] == 0xFF
        let low = packet[36..<40].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return Frames.ethernet6(
            to: isGroup ? 0x3333_0000_0000 | low : LonelyStack.hardware,
            from: LonelyStack.peerHardware, packet)
    }

    private static func segment(_ flags: UInt8, _ payload: [UInt8]) -> [UInt8] {
        Frames.summed6(
            from: peer, to: own, next: 6, field: 16,
            be16(4000) + be16(80) + be32(1000) + be32(77) + [0x50, flags] + be16(65_535) + be32(0)
                + payload)
    }

    /// One frame of each kind.
    static let framesIPv6: [[UInt8]] = {
        let group = IPAddress(high: 0xFF02 << 48, low: 0x1_FF00_0000 | own.low & 0xFF_FFFF)
        let all = v6("ff02::1")
        let source = Frames.hardwareOption(1, LonelyStack.peerHardware)
        let target = Frames.hardwareOption(2, LonelyStack.peerHardware)
        let datagram = Frames.udp6(
            from: (peer, 53), to: (own, 53), [UInt8](repeating: 0x55, count: 64))
        let payload = Array(datagram[40...])
        let start = be16(80) + be16(4000) + be32(1) + be32(1) + be32(0)
        let quoted = Frames.ipv6(from: own, to: peer, next: 6, start)
        let options = [0, 0, 5, 2, 0, 0, 1, 0] as [UInt8]
        let servers: [UInt8] = [25, 3, 0, 0] + be32(600) + be128(v6("2001:db8::53"))
        var packets: [[UInt8]] = []
        func message(
            _ type: UInt8, to: IPAddress = own, from: IPAddress = peer, code: UInt8 = 0,
            _ body: [UInt8]
        ) {
            packets.append(
                Frames.icmpV6(
                    from: from, to: to, type: type, code: code, hopLimit: type == 130 ? 1 : 255,
                    body))
        }
        func packet(_ next: UInt8, _ payload: [UInt8]) {
            packets.append(Frames.ipv6(from: peer, to: own, next: next, payload))
        }
        message(135, to: group, be32(0) + be128(own) + source)
        message(135, to: group, from: .unspecified, be32(0) + be128(own))
        message(136, be32(0x6000_0000) + be128(peer) + target)
        message(137, be32(0) + be128(peer) + be128(peer))
        message(130, to: all, be16(1000) + be16(0) + be128(.unspecified) + [2, 125, 0, 0])
        message(128, [1, 2, 3, 4, 5, 6])
        message(1, code: 4, be32(0) + datagram)
        message(2, be32(1280) + quoted)
        message(4, code: 1, be32(6) + quoted)
        let mtu: [UInt8] = [5, 1, 0, 0] + be32(1400)
        packets.append(
            Frames.routerAdvertisement(
                from: peer, source + Frames.prefixOption(LonelyStack.prefix) + mtu + servers))
        packets.append(datagram)
        packet(0, [17] + options[1...] + payload)
        packet(60, [43, 0, 1, 4, 0, 0, 0, 0] + [17, 0, 0, 0, 0, 0, 0, 0] + payload)
        packet(44, [17, 0, 0, 1] + be32(5) + payload[..<32])
        packet(44, [17, 0, 0, 32] + be32(5) + payload[32...])
        packet(44, [17, 0, 0, 0] + be32(6) + payload)
        packet(132, [1, 2, 3, 4])
        for flags: UInt8 in [0x02, 0x10, 0x18, 0x11, 0x04, 0x12] {
            packets.append(segment(flags, flags & 8 != 0 ? [1, 2, 3] : []))
        }
        return packets.map(frame)
    }()

    /// Sets the checksum right again in a frame of IPv6 without extension headers, or with one.
    static func mendIPv6(_ frame: inout [UInt8]) {
        guard frame.count > 54 else { return }
        let start = frame[20] == 0 || frame[20] == 60 ? 62 : 54
        let number = start == 54 ? frame[20] : frame[54]
        let length = Int(frame[18]) << 8 | Int(frame[19])
        let end = min(frame.count, 54 + length)
        guard end > start else { return }
        let pseudo =
            Array(frame[22..<54]) + be32(UInt32(end - start)) + [0, 0, 0, number]
        let fields: [UInt8: Int] = [58: 2, 6: 16, 17: 6]
        if let field = fields[number] {
            put(&frame, at: start + field, over: start..<end, pseudo: pseudo)
        }
    }
}
