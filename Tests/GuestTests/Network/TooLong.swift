// What a router says of a packet that is longer than the way ahead takes (RFC 792, RFC 1191 §4,
// RFC 4443 §3.2).

import SwiftletNetwork
import SwiftletTestSupport

enum TooLong {
    private static let router = IPv4Address(10, 77, 0, 254)
    private static let router6 = v6("2001:db8:77::fe")

    /// The frame that tells the sender of `frame` which length would pass; nil if there is nobody to
    /// tell.
    static func answer(to frame: [UInt8], longest: Int) -> [UInt8]? {
        guard frame.count > 54, frame[0] & 1 == 0 else { return nil }
        let packet = Array(frame[14...])
        let sender = number(frame[6..<12])
        let hop = number(frame[0..<6])
        switch number(frame[12..<14]) {
        case 0x0800:
            let from = IPv4Address(bits: UInt32(number(packet[12..<16])))
            let message = Frames.icmp(
                type: 3, code: 4, rest: UInt32(longest), Array(packet.prefix(28)))
            return Frames.ethernet(
                to: sender, from: hop, type: 0x0800,
                Frames.ipv4(from: router, to: from, protocolNumber: 1, message))
        case 0x86DD:
            let from = IPAddress(high: number(packet[8..<16]), low: number(packet[16..<24]))
            return Frames.ethernet6(
                to: sender, from: hop,
                Frames.icmpV6(
                    from: router6, to: from, type: 2, hopLimit: 64,
                    be32(UInt32(longest)) + packet.prefix(1232)))
        default: return nil
        }
    }

    private static func number(_ octets: ArraySlice<UInt8>) -> UInt64 {
        octets.reduce(0) { $0 << 8 | UInt64($1) }
    }
}
