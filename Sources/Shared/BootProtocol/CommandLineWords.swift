// The guest's command line as words: read in place, on octets, without allocation.
//
// Before a lone `--` stand settings (`KEY=VALUE`) and flags; after it the application's arguments.
// Monitors append settings of their own at the very end (QEMU's microvm: `virtio_mmio.device=…`),
// so a word that holds an unencoded `=` is a setting wherever it stands; arguments are
// percent-encoded and never hold one.

/// One word of the command line, as ranges of octets in it.
public enum CommandLineWord: Equatable, Sendable {
    /// `KEY=VALUE`; the value of `env.NAME` is percent-encoded.
    case setting(key: Range<Int>, value: Range<Int>)
    /// A word without `=` before `--`.
    case flag(Range<Int>)
    /// An argument of the application, percent-encoded.
    case argument(Range<Int>)
}

/// Walks over the words of a command line. The octets stay with the caller.
public struct CommandLineWords: Sendable {
    private var offset = 0
    private var inArguments = false

    public init() {}

    /// The next word of `line`, which must be the same octets at every call; nil at the end.
    /// A NUL octet ends the line, as it ends a C string.
    public mutating func next(in line: RawSpan) -> CommandLineWord? {
        while true {
            while offset < line.byteCount && line.octet(offset) == Octet.space {
                offset &+= 1
            }
            let start = offset
            var equals: Int? = nil
            while offset < line.byteCount {
                let octet = line.octet(offset)
                if octet == Octet.space || octet == 0 { break }
                if octet == Octet.equals && equals == nil { equals = offset }
                offset &+= 1
            }
            guard offset > start else { return nil }
            if let equals {
                return .setting(key: start..<equals, value: (equals &+ 1)..<offset)
            }
            if inArguments { return .argument(start..<offset) }
            guard line.equals("--", in: start..<offset) else { return .flag(start..<offset) }
            inArguments = true
        }
    }

    /// The value of the first setting named `key`; nil if there is none.
    public static func value(of key: StaticString, in line: RawSpan) -> Range<Int>? {
        var words = CommandLineWords()
        while let word = words.next(in: line) {
            if case .setting(let name, let value) = word, line.equals(key, in: name) {
                return value
            }
        }
        return nil
    }
}

/// The octets that the command line gives a meaning to.
enum Octet {
    static let space = UInt8(ascii: " ")
    static let equals = UInt8(ascii: "=")
    static let percent = UInt8(ascii: "%")
    static let comma = UInt8(ascii: ",")
    static let slash = UInt8(ascii: "/")
    static let dot = UInt8(ascii: ".")
}

extension RawSpan {
    /// The octet at `offset`; bounds are checked.
    @inlinable public func octet(_ offset: Int) -> UInt8 {
        unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    /// Whether the octets of `range` are exactly `text`.
    public func equals(_ text: StaticString, in range: Range<Int>) -> Bool {
        range.count == text.utf8CodeUnitCount && hasPrefix(text, in: range)
    }

    /// Whether the octets of `range` begin with `text`.
    public func hasPrefix(_ text: StaticString, in range: Range<Int>) -> Bool {
        let count = text.utf8CodeUnitCount
        guard range.count >= count, range.upperBound <= byteCount else { return false }
        // The pointer lives as long as the program, and `index` stays below the count.
        for index in 0..<count where octet(range.lowerBound &+ index) != text.utf8Start[index] {
            return false
        }
        return true
    }
}
