// The chunked transfer coding (RFC 9112 §7.1), read incrementally and strictly.

/// Takes the framing off a chunked body. What it bounds, and why: digits of a size (no overflow),
/// the octets of all extensions and trailers together (a client could send them for ever without
/// one octet of content).
public struct ChunkedDecoder: Sendable {
    /// What the next octets are.
    public enum Step: Equatable, Sendable {
        /// All `consumed` octets were framing; more are needed.
        case needsMore(consumed: Int)
        /// Content: `count` octets after `skipped` octets of framing.
        case content(skipped: Int, count: Int)
        /// The body ended after `consumed` octets.
        case end(consumed: Int)
        /// This is no chunked body.
        case malformed
    }

    private enum State {
        case size, sizeExtension, sizeLineFeed, content, contentReturn, contentLineFeed
        case trailerStart, trailerName, trailerValue, trailerLineFeed, lastLineFeed, ended
    }

    private var state = State.size
    private var digits = 0
    private var remaining: UInt64 = 0
    private var overhead = 0

    public init() {}

    /// Looks at the octets received. The caller consumes what the step tells before it calls again.
    ///
    /// - Parameters:
    ///   - limit: content octets to take at most; at least 1.
    ///   - overheadLimit: octets of extensions and trailers in the whole body.
    public mutating func next(_ bytes: RawSpan, limit: Int, overheadLimit: Int) -> Step {
        var index = 0
        while index < bytes.byteCount {
            if state == .content {
                let available = UInt64(bytes.byteCount &- index)
                let count = min(min(available, remaining), UInt64(max(1, limit)))
                remaining &-= count
                if remaining == 0 { state = .contentReturn }
                return .content(skipped: index, count: Int(count))
            }
            if state == .ended { return .end(consumed: index) }
            let octet = bytes.octet(index)
            index &+= 1
            guard step(octet), overhead <= overheadLimit else { return .malformed }
        }
        return state == .ended ? .end(consumed: index) : .needsMore(consumed: index)
    }

    /// Moves on by one octet of framing; false if it may not stand here.
    private mutating func step(_ octet: UInt8) -> Bool {
        switch state {
        case .size:
            if let digit = ASCII.hexadecimal(octet) {
                digits &+= 1
                remaining = remaining &<< 4 | UInt64(digit)
                // 15 digits are under 2^60; leading zeros count too.
                return digits <= 15
            }
            guard digits > 0 else { return false }
            if octet == ASCII.carriageReturn {
                state = .sizeLineFeed
            } else {
                // Blanks before ";" are tolerated by some and are a way to smuggle.
                guard octet == 0x3B else { return false }
                state = .sizeExtension
            }
        case .sizeExtension:
            overhead &+= 1
            if octet == ASCII.carriageReturn {
                state = .sizeLineFeed
            } else {
                return ASCII.isFieldValue(octet)
            }
        case .sizeLineFeed:
            guard octet == ASCII.lineFeed else { return false }
            state = remaining == 0 ? .trailerStart : .content
            digits = 0
        case .contentReturn:
            guard octet == ASCII.carriageReturn else { return false }
            state = .contentLineFeed
        case .contentLineFeed:
            guard octet == ASCII.lineFeed else { return false }
            state = .size
        case .trailerStart:
            if octet == ASCII.carriageReturn {
                state = .lastLineFeed
            } else {
                guard ASCII.isToken(octet) else { return false }
                overhead &+= 1
                state = .trailerName
            }
        case .trailerName:
            overhead &+= 1
            if octet == ASCII.colon {
                state = .trailerValue
            } else {
                return ASCII.isToken(octet)
            }
        case .trailerValue:
            overhead &+= 1
            if octet == ASCII.carriageReturn {
                state = .trailerLineFeed
            } else {
                return ASCII.isFieldValue(octet)
            }
        case .trailerLineFeed:
            guard octet == ASCII.lineFeed else { return false }
            state = .trailerStart
        case .lastLineFeed:
            guard octet == ASCII.lineFeed else { return false }
            state = .ended
        case .content, .ended:
            return false
        }
        return true
    }
}
