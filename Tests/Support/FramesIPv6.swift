// Frames of IPv6 built octet by octet from the specifications, independently of the stack's writers.

import SwiftletNetwork

package func be128(_ address: IPAddress) -> [UInt8] {
    [address.high, address.low].flatMap { half in
        (0..<8).map { UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * $0)) }
    }
}

/// An address from its text; the test fails where that is wrong.
package func v6(_ text: String) -> IPAddress { IPAddress(text)! }

extension Frames {
    /// The frame of a packet of IPv6.
    package static func ethernet6(to: UInt64, from: UInt64, _ packet: [UInt8]) -> [UInt8] {
        ethernet(to: to, from: from, type: 0x86DD, packet)
    }

    /// An IPv6 packet; `next` is the type of what `payload` begins with.
    package static func ipv6(
        from: IPAddress, to: IPAddress, next: UInt8, hopLimit: UInt8 = 64, _ payload: [UInt8],
        trafficClass: UInt8 = 0
    ) -> [UInt8] {
        [0x60 | trafficClass >> 4, trafficClass << 4, 0, 0] + be16(payload.count)
            + [next, hopLimit] + be128(from) + be128(to) + payload
    }

    package static func pseudoHeader6(
        _ from: IPAddress, _ to: IPAddress, _ number: UInt8, _ length: Int
    ) -> [UInt8] {
        be128(from) + be128(to) + be32(UInt32(length)) + [0, 0, 0, number]
    }

    /// A packet whose payload has a checksum at `field`.
    package static func summed6(
        from: IPAddress, to: IPAddress, next: UInt8, hopLimit: UInt8 = 64, field: Int,
        _ payload: [UInt8]
    ) -> [UInt8] {
        ipv6(
            from: from, to: to, next: next, hopLimit: hopLimit,
            summed(from, to, next, field, payload))
    }

    /// The payload with the checksum at `field` filled in.
    package static func summed(
        _ from: IPAddress, _ to: IPAddress, _ next: UInt8, _ field: Int, _ payload: [UInt8]
    ) -> [UInt8] {
        var payload = payload
        var sum = ~naiveSum(pseudoHeader6(from, to, next, payload.count) + payload)
        if sum == 0, next == 17 { sum = 0xFFFF }
        payload[field] = UInt8(sum >> 8)
        payload[field + 1] = UInt8(truncatingIfNeeded: sum)
        return payload
    }

    package static func icmpV6(
        from: IPAddress, to: IPAddress, type: UInt8, code: UInt8 = 0, hopLimit: UInt8 = 255,
        _ body: [UInt8]
    ) -> [UInt8] {
        summed6(
            from: from, to: to, next: 58, hopLimit: hopLimit, field: 2, [type, code, 0, 0] + body)
    }

    package static func udp6(
        from: (IPAddress, Int), to: (IPAddress, Int), _ payload: [UInt8]
    ) -> [UInt8] {
        summed6(
            from: from.0, to: to.0, next: 17, field: 6,
            be16(from.1) + be16(to.1) + be16(8 + payload.count) + [0, 0] + payload)
    }

    /// A router's advertisement from a link-local address, to all nodes.
    package static func routerAdvertisement(
        from: IPAddress, lifetime: Int = 1800, flags: UInt8 = 0, hopLimit: UInt8 = 255,
        _ options: [UInt8]
    ) -> [UInt8] {
        icmpV6(
            from: from, to: v6("ff02::1"), type: 134, hopLimit: hopLimit,
            [64, flags] + be16(lifetime) + be32(0) + be32(0) + options)
    }

    package static func prefixOption(
        _ prefix: IPAddress, length: UInt8 = 64, flags: UInt8 = 0xC0, valid: UInt32 = 86_400,
        preferred: UInt32 = 14_400
    ) -> [UInt8] {
        [3, 4, length, flags] + be32(valid) + be32(preferred) + be32(0) + be128(prefix)
    }

    package static func hardwareOption(_ type: UInt8, _ hardware: UInt64) -> [UInt8] {
        [type, 1] + be48(hardware)
    }
}
