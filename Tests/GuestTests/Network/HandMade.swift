// Frames to a guest, good ones and such as can be broken, with checksums by hand.

import SwiftletNetwork
import SwiftletTestSupport

/// Frames for the guest, made by hand.
enum HandMade {
    static let guest = IPv4Address(10, 77, 0, 2)
    static let host = IPv4Address(10, 77, 0, 1)

    /// A frame to the guest.
    static func frame(_ payload: [UInt8], type: Int = 0x0800) -> [UInt8] {
        Frames.ethernet(
            to: NetworkNamespace.guestMAC, from: NetworkNamespace.hostMAC, type: type, payload)
    }

    static func packet(
        _ number: UInt8, _ payload: [UInt8], from: IPv4Address = stranger, fragment: Int = 0,
        identification: Int = 7, ttl: UInt8 = 64, options: [UInt8] = []
    ) -> [UInt8] {
        frame(
            Frames.ipv4(
                from: from, to: guest, protocolNumber: number, payload,
                identification: identification, fragment: fragment, ttl: ttl, options: options))
    }

    /// Somebody behind the gateway (RFC 2544's addresses for measurements).
    static let stranger = IPv4Address(198, 18, 0, 9)

    static func tcp(
        _ flags: UInt8, port: Int = 80, from: Int = 4000, sequence: UInt32 = 1,
        acknowledgement: UInt32 = 0, window: Int = 65_535, _ payload: [UInt8] = []
    ) -> [UInt8] {
        Frames.tcp(
            from: (stranger, from), to: (guest, port), sequence: sequence,
            acknowledgement: acknowledgement, flags: flags, window: window, payload)
    }

    static func udp(_ payload: [UInt8], port: Int = 7, from: Int = 4000) -> [UInt8] {
        Frames.udp(from: (stranger, from), to: (guest, port), payload)
    }

    /// A TCP segment with these options, checksum and all.
    static func tcp(options: [UInt8], offset: Int? = nil) -> [UInt8] {
        var segment = tcp(0x02)
        segment.removeLast(segment.count - 20)
        segment += options
        segment[12] = UInt8(truncatingIfNeeded: (offset ?? (segment.count + 3) / 4) << 4)
        mend(&segment, at: 16, 6)
        return packet(6, segment)
    }

    /// Puts the right checksum of TCP or UDP at `place`.
    static func mend(_ segment: inout [UInt8], at place: Int, _ number: UInt8) {
        guard segment.count >= place + 2 else { return }
        segment[place] = 0
        segment[place + 1] = 0
        let sum =
            ~naiveSum(Frames.pseudoHeader(stranger, guest, number, segment.count) + segment)
        segment.replaceSubrange(place..<(place + 2), with: be16(Int(sum)))
    }

    /// Makes the checksums of a changed frame right again, so that more than they is tested.
    static func mendChecksums(_ frame: inout [UInt8]) {
        guard frame.count >= 34, frame[12] == 8, frame[13] == 0 else { return }
        let header = Int(frame[14] & 15) * 4
        guard header >= 20, frame.count >= 14 + header else { return }
        frame[24] = 0
        frame[25] = 0
        frame.replaceSubrange(24..<26, with: be16(Int(~naiveSum(frame[14..<(14 + header)]))))
        var payload = Array(frame[(14 + header)...])
        switch frame[23] {
        case 6: mend(&payload, at: 16, 6)
        case 17: mend(&payload, at: 6, 17)
        case 1 where payload.count >= 4:
            payload[2] = 0
            payload[3] = 0
            payload.replaceSubrange(2..<4, with: be16(Int(~naiveSum(payload))))
        default: break
        }
        frame.replaceSubrange((14 + header)..., with: payload)
    }

    /// One good frame of each kind.
    static let valid: [[UInt8]] = [
        frame(
            Array(
                Frames.arp(
                    operation: 1, sender: (NetworkNamespace.hostMAC, host), target: (0, guest),
                    to: NetworkNamespace.guestMAC
                ).dropFirst(14)), type: 0x0806),
        packet(1, Frames.icmp(type: 8, code: 0, rest: 1, [1, 2, 3, 4, 5, 6, 7, 8])),
        packet(
            1, Frames.icmp(type: 3, code: 4, rest: 576, Array(packet(6, tcp(0x10)).dropFirst(14)))),
        packet(17, udp([1, 2, 3, 4])),
        packet(17, udp([1, 2, 3, 4], port: 9)),
        packet(17, Array(udp([UInt8](repeating: 1, count: 40)).prefix(24)), fragment: 0x2000),
        packet(17, [UInt8](repeating: 1, count: 24), fragment: 0x0003),
        tcp(options: [2, 4, 5, 0xB4, 4, 2, 1, 3, 3, 7]),
        packet(6, tcp(0x10, acknowledgement: 77)),
        packet(6, tcp(0x18, acknowledgement: 77, Array("GET / HTTP/1.1\r\n\r\n".utf8))),
        packet(6, tcp(0x04)), packet(6, tcp(0x11, acknowledgement: 5)),
        packet(6, tcp(0x02, port: 81)),
    ]
}
