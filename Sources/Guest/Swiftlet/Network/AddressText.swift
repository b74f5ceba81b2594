// Addresses as text, for logs and messages.

import SwiftletNetwork

extension IPAddress: CustomStringConvertible {
    /// `10.0.2.15`, or eight groups of hexadecimal digits.
    public var description: String {
        var octets: [UInt8] = []
        if let v4 {
            octets = [UInt8](repeating: 0, count: IPv4Address.longestText)
            var span = octets.mutableSpan
            var bytes = span.mutableBytes
            let count = v4.format(into: &bytes)
            return String(decoding: octets[..<count], as: UTF8.self)
        }
        for group in 0..<8 {
            if group > 0 { octets.append(UInt8(ascii: ":")) }
            let half = group < 4 ? high : low
            let value = half >> UInt64(48 - 16 * (group & 3)) & 0xFFFF
            for digit in [value >> 12, value >> 8 & 15, value >> 4 & 15, value & 15] {
                octets.append(UInt8(truncatingIfNeeded: digit < 10 ? 0x30 + digit : 0x57 + digit))
            }
        }
        return String(decoding: octets, as: UTF8.self)
    }
}
