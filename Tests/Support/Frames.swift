// Frames built octet by octet from the specifications, independently of the stack's own writers.

import SwiftletNetwork

package func be16(_ value: Int) -> [UInt8] {
    [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)]
}

package func be32(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) }
}

package func be48(_ value: UInt64) -> [UInt8] {
    (0..<6).map { UInt8(truncatingIfNeeded: value >> UInt64(40 - 8 * $0)) }
}

package enum Frames {
    package static let broadcast: UInt64 = 0xFFFF_FFFF_FFFF

    package static func ethernet(
        to: UInt64, from: UInt64, type: Int, _ payload: [UInt8]
    ) -> [UInt8] {
        be48(to) + be48(from) + be16(type) + payload
    }

    package static func arp(
        operation: Int, sender: (UInt64, IPv4Address), target: (UInt64, IPv4Address),
        to: UInt64
    ) -> [UInt8] {
        ethernet(
            to: to, from: sender.0, type: 0x0806,
            be16(1) + be16(0x0800) + [6, 4] + be16(operation) + be48(sender.0)
                + be32(sender.1.bits) + be48(target.0) + be32(target.1.bits))
    }

    /// An IPv4 packet. `fragment` is flags and offset as in the header.
    package static func ipv4(
        from: IPv4Address, to: IPv4Address, protocolNumber: UInt8, _ payload: [UInt8],
        identification: Int = 7, fragment: Int = 0, ttl: UInt8 = 64, options: [UInt8] = []
    ) -> [UInt8] {
        let headerLength = 20 + options.count
        var header: [UInt8] = [0x40 | UInt8(headerLength / 4), 0]
        header += be16(headerLength + payload.count) + be16(identification) + be16(fragment)
        header += [ttl, protocolNumber, 0, 0] + be32(from.bits) + be32(to.bits) + options
        let sum = ~naiveSum(header)
        header[10] = UInt8(sum >> 8)
        header[11] = UInt8(truncatingIfNeeded: sum)
        return header + payload
    }

    package static func pseudoHeader(
        _ from: IPv4Address, _ to: IPv4Address, _ number: UInt8, _ length: Int
    ) -> [UInt8] {
        be32(from.bits) + be32(to.bits) + [0, number] + be16(length)
    }

    package static func udp(
        from: (IPv4Address, Int), to: (IPv4Address, Int), _ payload: [UInt8]
    ) -> [UInt8] {
        let length = 8 + payload.count
        var datagram = be16(from.1) + be16(to.1) + be16(length) + [0, 0] + payload
        var sum = ~naiveSum(pseudoHeader(from.0, to.0, 17, length) + datagram)
        if sum == 0 { sum = 0xFFFF }
        datagram[6] = UInt8(sum >> 8)
        datagram[7] = UInt8(truncatingIfNeeded: sum)
        return datagram
    }

    package static func icmp(type: UInt8, code: UInt8, rest: UInt32 = 0, _ payload: [UInt8])
        -> [UInt8]
    {
        var message = [type, code, 0, 0] + be32(rest) + payload
        let sum = ~naiveSum(message)
        message[2] = UInt8(sum >> 8)
        message[3] = UInt8(truncatingIfNeeded: sum)
        return message
    }

    package static func tcp(
        from: (IPv4Address, Int), to: (IPv4Address, Int), sequence: UInt32, acknowledgement: UInt32,
        flags: UInt8, window: Int = 65_535, _ payload: [UInt8] = []
    ) -> [UInt8] {
        var segment = be16(from.1) + be16(to.1) + be32(sequence) + be32(acknowledgement)
        segment += [0x50, flags] + be16(window) + [0, 0, 0, 0] + payload
        let sum = ~naiveSum(pseudoHeader(from.0, to.0, 6, segment.count) + segment)
        segment[16] = UInt8(sum >> 8)
        segment[17] = UInt8(truncatingIfNeeded: sum)
        return segment
    }
}

/// RFC 1071 as its text says it, 16 bits at a time: what the fast one is compared with.
package func naiveSum(_ bytes: some Sequence<UInt8>) -> UInt16 {
    var sum: UInt32 = 0
    var isHigh = true
    for byte in bytes {
        sum += isHigh ? UInt32(byte) << 8 : UInt32(byte)
        sum = (sum >> 16) + (sum & 0xFFFF)
        isHigh.toggle()
    }
    return UInt16(sum)
}
