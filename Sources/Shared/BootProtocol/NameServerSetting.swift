// Name servers on the guest's command line.

/// One server of `dns=ADDRESS[:PORT],…`.
public struct NameServerSetting: Equatable, Sendable {
    /// In host order, the first octet in the highest place.
    public var address: UInt32
    public var port: UInt16

    public init(address: UInt32, port: UInt16) {
        self.address = address
        self.port = port
    }

    /// Calls `body` with each server of the list in `range`, up to what is none.
    ///
    /// - Returns: false if that was before the list's end.
    @discardableResult
    public static func forEach(
        in line: RawSpan, _ range: Range<Int>, _ body: (NameServerSetting) -> Void
    ) -> Bool {
        var scanner = OctetScanner(line, in: range)
        repeat {
            guard let address = scanner.address() else { return false }
            var port: UInt64 = 53
            if scanner.skip(UInt8(ascii: ":")) {
                guard let number = scanner.decimal(), number > 0, number <= 65535 else {
                    return false
                }
                port = number
            }
            body(NameServerSetting(address: address, port: UInt16(truncatingIfNeeded: port)))
        } while scanner.skip(Octet.comma)
        return scanner.isAtEnd
    }

    /// Whether `text` is one server, `ADDRESS` or `ADDRESS:PORT`.
    public static func isValid(_ text: [UInt8]) -> Bool {
        var count = 0
        return forEach(in: text.span.bytes, 0..<text.count) { _ in count += 1 } && count == 1
    }
}
