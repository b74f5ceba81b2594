// The guest's console on its way to the user: backtrace lines get names, all else passes at once.

/// Adds the places in the source to lines of the exact form `  at 0x0000000000234567`.
public actor ConsoleFilter {
    private let symboliser: Symboliser
    /// Octets of a line that may yet turn out to be of a backtrace.
    private var held: [UInt8] = []
    private var mayMatch = true
    /// Whether the line before was of a backtrace: then this one is a caller.
    private var inBacktrace = false
    private static let prefix = Array("  at 0x".utf8)
    private static let digits = 16

    public init(symboliser: Symboliser) {
        self.symboliser = symboliser
    }

    /// What to show of `octets`; part of it may be held back until its line is whole.
    public func pass(_ octets: ArraySlice<UInt8>) async -> ArraySlice<UInt8> {
        // Pieces of output, and between them addresses, so that one process names all of them.
        var output: [UInt8] = []
        var addresses: [(position: Int, address: UInt64)] = []
        var rest = octets
        while let octet = rest.popFirst() {
            if octet == UInt8(ascii: "\n") {
                if mayMatch, let address = heldAddress() {
                    while held.last == UInt8(ascii: "\r") { held.removeLast() }
                    output += held
                    // A return address lies after the call, which may be a function's last word.
                    addresses.append((output.count, inBacktrace ? address &- 1 : address))
                    inBacktrace = true
                } else {
                    output += held
                    inBacktrace = false
                }
                held.removeAll(keepingCapacity: true)
                output.append(octet)
                mayMatch = true
            } else if mayMatch {
                held.append(octet)
                if !heldMayMatch() {
                    output += held
                    held.removeAll(keepingCapacity: true)
                    mayMatch = false
                }
            } else {
                // To the line's end at once: what is no backtrace may be much.
                output.append(octet)
                let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
                output += rest[..<end]
                rest = rest[end...]
            }
        }
        guard !addresses.isEmpty else { return output[...] }
        let places = await symboliser.places(addresses.map(\.address))
        for (mark, lines) in zip(addresses, places).reversed() {
            let indent = "\n" + String(repeating: " ", count: Self.prefix.count + Self.digits + 1)
            let text = lines.isEmpty ? "" : " " + lines.joined(separator: indent)
            output.insert(contentsOf: text.utf8, at: mark.position)
        }
        return output[...]
    }

    /// What was held back at the end of the console.
    public func finish() -> ArraySlice<UInt8> {
        defer { held.removeAll() }
        return held[...]
    }

    /// Whether the held octets are the beginning of a backtrace line.
    private func heldMayMatch() -> Bool {
        guard let last = held.last else { return true }
        let index = held.count - 1
        if index < Self.prefix.count { return last == Self.prefix[index] }
        if index < Self.prefix.count + Self.digits { return Self.digit(last) != nil }
        return last == UInt8(ascii: "\r")
    }

    private func heldAddress() -> UInt64? {
        let digits = held.dropFirst(Self.prefix.count).prefix(Self.digits)
        guard digits.count == Self.digits else { return nil }
        return digits.reduce(UInt64?(0)) { value, octet in
            guard let value, let digit = Self.digit(octet) else { return nil }
            return value << 4 | UInt64(digit)
        }
    }

    private static func digit(_ octet: UInt8) -> UInt8? {
        switch octet {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): octet - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): octet - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): octet - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
