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
    private var parser = RequestParser()

    public init() {}

    /// The parser as it was after this head, if `bytes` begin with the very same one.
    @inline(__always)
    func whole(_ bytes: RawSpan) -> RequestParser? {
        hasSame(bytes, at: 0, from: 0) ? parser : nil
    }

    /// The parser as it was after this head, if its header lines and the empty line stand in `bytes`
    /// at `position`.
    @inline(__always)
    func lines(_ bytes: RawSpan, at position: Int) -> RequestParser? {
        hasSame(bytes, at: position, from: Int(parser.head.fields.start)) ? parser : nil
    }

    @inline(never)
    mutating func remember(_ bytes: RawSpan, _ parsed: RequestParser) {
        let head = parsed.head
        let block = head.length &- Int(head.fields.start)
        octets.removeAll()
        parser = RequestParser()
        // A head that frames a body is hardly ever the same again.
        guard head.length <= Self.longest, block >= Self.step, !head.hasBody else { return }
        octets.append(bytes.extracting(first: head.length))
        parser = parsed
    }

    /// True if `bytes` at `position` are the same as the octets of this head from `start` on.
    @inline(__always)
    private func hasSame(_ bytes: RawSpan, at position: Int, from start: Int) -> Bool {
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
