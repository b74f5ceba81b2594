// The request head that was parsed last. Clients that keep a connection send the same header lines
// again and again, and many the same request: what has the same octets is compared, not parsed.

/// Octets of one request head, and what the parser made of them.
///
/// Parsing depends on nothing but the octets up to the head's end and the limits, so equal octets
/// have an equal result; whoever changes the limits has to begin with a new value.
public struct RecentHead: ~Copyable {
    /// Heads up to this length are remembered.
    private static var longest: Int { 2048 }
    /// What one step of `hasSame` compares; shorter heads and header blocks are not remembered.
    private static var step: Int { 16 }

    private var octets = OctetBuffer()
    /// As it was after `octets`; its head has length 0 if there is none.
    private(set) var parser = RequestParser()
    /// The head looked at last had the same lines, so that this one is as good as that.
    private(set) var lent = false
    private var loans: UInt8 = 0

    public init() {}

    /// True if `bytes` begin with the very same head.
    @inline(__always)
    borrowing func isWhole(_ bytes: RawSpan) -> Bool {
        hasSame(bytes, at: 0, from: 0)
    }

    /// True if this head's lines, and the empty line, stand in `bytes` at `position`.
    @inline(__always)
    mutating func hasLines(of bytes: RawSpan, at position: Int) -> Bool {
        lent = hasSame(bytes, at: position, from: Int(parser.head.fields.start))
        guard lent else { return false }
        // Now and then the newer head is remembered: it may be the one that comes all the time.
        loans &+= 1
        lent = loans & 0x0F != 0
        return true
    }

    @inline(never)
    mutating func remember(_ bytes: RawSpan, _ parsed: RequestParser) {
        let head = parsed.head
        let block = head.length &- Int(head.fields.start)
        octets.removeAll()
        // A head that frames a body is hardly ever the same again.
        guard head.length <= Self.longest, block >= Self.step, !head.hasBody else { return }
        octets.append(bytes.extracting(first: head.length))
        parser = parsed
    }

    /// True if `bytes` at `position` are the same as the octets of this head from `start` on.
    @inline(__always)
    private borrowing func hasSame(_ bytes: RawSpan, at position: Int, from start: Int) -> Bool {
        let count = octets.count &- start
        guard count >= Self.step, bytes.byteCount &- position >= count else { return false }
        let own = octets.octets
        // The last step overlaps the one before it, so that no tail is left over.
        let last = count &- Self.step
        var index = 0
        while index < last {
            if !own.hasSameStep(start &+ index, bytes, position &+ index) { return false }
            index &+= Self.step
        }
        return own.hasSameStep(start &+ last, bytes, position &+ last)
    }
}

extension RawSpan {
    /// True if sixteen octets here and there are the same; the caller has seen that they exist.
    @inline(__always)
    fileprivate func hasSameStep(_ index: Int, _ other: RawSpan, _ place: Int) -> Bool {
        let low =
            unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self)
            ^ other.unsafeLoadUnaligned(fromUncheckedByteOffset: place, as: UInt64.self)
        let high =
            unsafeLoadUnaligned(fromUncheckedByteOffset: index &+ 8, as: UInt64.self)
            ^ other.unsafeLoadUnaligned(fromUncheckedByteOffset: place &+ 8, as: UInt64.self)
        return low | high == 0
    }
}
