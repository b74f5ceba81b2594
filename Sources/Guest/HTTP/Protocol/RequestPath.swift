// From a request's path to the name of a file: percent-decoding (RFC 3986 §2.1) and removal of dot
// segments (§5.2.4), in this order, so that "%2e%2e" climbs no further than "..".

/// A decoded path below a root: relative, segments joined by "/", without "." and "..".
public struct RequestPath: ~Copyable {
    /// The path without leading and trailing "/"; empty for the root.
    public internal(set) var text = OctetBuffer()
    /// True if the path named a directory: "/", or a last segment that is empty, "." or "..".
    public private(set) var isDirectory = true

    /// - Parameter encoded: the path of a request target, beginning with "/".
    ///
    /// Nil for a path that leaves the root, a broken percent-encoding, or an encoded NUL or "/",
    /// which no name of a file has.
    public init?(_ encoded: RawSpan) {
        guard encoded.octet(0) == 0x2F else { return nil }
        var index = 1
        while index <= encoded.byteCount {
            // One segment, decoded behind the ones before.
            let parent = text.count
            if parent > 0 { text.append(octet: 0x2F) }
            let start = text.count
            while index < encoded.byteCount, encoded.octet(index) != 0x2F {
                var octet = encoded.octet(index)
                if octet == 0x25 {
                    guard let high = ASCII.hexadecimal(encoded.octet(index &+ 1)),
                        let low = ASCII.hexadecimal(encoded.octet(index &+ 2))
                    else { return nil }
                    octet = high &<< 4 | low
                    if octet == 0x2F { return nil }
                    index &+= 2
                }
                if octet == 0 { return nil }
                text.append(octet: octet)
                index &+= 1
            }
            index &+= 1
            let length = text.count &- start
            let isDot = length == 1 && text.octets.octet(start) == 0x2E
            let isDotDot =
                length == 2 && text.octets.octet(start) == 0x2E
                && text.octets.octet(start &+ 1) == 0x2E
            isDirectory = length == 0 || isDot || isDotDot
            if isDotDot {
                guard parent > 0 else { return nil }
                var end = parent
                while end > 0, text.octets.octet(end &- 1) != 0x2F { end &-= 1 }
                text.truncate(to: max(0, end &- 1))
            } else if isDirectory {
                text.truncate(to: parent)
            }
        }
    }

    /// Appends the path with "/" in front, everything percent-encoded that is not plain.
    public func appendEncoded(to buffer: inout OctetBuffer) {
        buffer.append(octet: 0x2F)
        for index in 0..<text.count {
            let octet = text.octets.octet(index)
            let isPlain =
                ASCII.isLetter(octet) || ASCII.isDigit(octet) || octet == 0x2F || octet == 0x2D
                || octet == 0x2E || octet == 0x5F || octet == 0x7E
            if isPlain {
                buffer.append(octet: octet)
            } else {
                buffer.append(octet: 0x25)
                buffer.append(hexadecimal: UInt64(octet), digits: 2)
            }
        }
    }
}
