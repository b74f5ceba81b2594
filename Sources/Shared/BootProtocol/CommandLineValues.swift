// The values that stand on the guest's command line: numbers, addresses, percent-encoded text.

/// The names of the settings that a guest knows.
public enum CommandLineKey {
    /// `ip=dhcp` or `ip=ADDRESS/PREFIX[,GATEWAY]`.
    public static var network: StaticString { "ip" }
    /// `dns=ADDRESS[:PORT],…`: name servers, in the order in which they are to be asked.
    public static var nameServers: StaticString { "dns" }
    /// `exit.port=0x501`: an I/O port that takes the 8-bit exit code just before power-off.
    public static var exitPort: StaticString { "exit.port" }
    /// `env.NAME=VALUE`: one variable of the application's environment.
    public static var environmentPrefix: StaticString { "env." }
    /// `virtio_mmio.device=SIZE@ADDRESS:IRQ`, appended by monitors without PCI.
    public static var virtioDevice: StaticString { "virtio_mmio.device" }
}

/// How the guest gets its IPv4 address.
public enum NetworkSetting: Equatable, Sendable {
    case dhcp
    /// Addresses in host order, the first octet in the highest place; a gateway of 0 is none.
    case fixed(address: UInt32, prefixLength: UInt8, gateway: UInt32)

    /// Reads `dhcp` or `ADDRESS/PREFIX[,GATEWAY]`; nil if it is neither.
    public init?(_ line: RawSpan, in range: Range<Int>) {
        if line.equals("dhcp", in: range) {
            self = .dhcp
            return
        }
        var scanner = OctetScanner(line, in: range)
        guard let address = scanner.address(), scanner.skip(Octet.slash),
            let prefixLength = scanner.decimal(), prefixLength <= 32
        else { return nil }
        var gateway: UInt32 = 0
        if scanner.skip(Octet.comma) {
            guard let parsed = scanner.address() else { return nil }
            gateway = parsed
        }
        guard scanner.isAtEnd else { return nil }
        self = .fixed(
            address: address, prefixLength: UInt8(truncatingIfNeeded: prefixLength),
            gateway: gateway)
    }
}

/// A virtio-mmio device as announced on the command line.
public struct VirtioDeviceSetting: Equatable, Sendable {
    /// Size of the register window in octets.
    public var size: UInt64
    /// Guest-physical address of the registers.
    public var address: UInt64
    /// Global system interrupt.
    public var interrupt: UInt32

    /// Reads `SIZE@ADDRESS:IRQ[:ID]`, the form of Linux's virtio_mmio.device parameter: SIZE may
    /// end in K, M or G; numbers are decimal or 0x-hexadecimal. Nil if it is not of that form.
    public init?(_ line: RawSpan, in range: Range<Int>) {
        var scanner = OctetScanner(line, in: range)
        guard var size = scanner.number() else { return nil }
        let shift = scanner.sizeSuffix()
        guard size <= UInt64.max >> shift else { return nil }
        size <<= shift
        guard scanner.skip(UInt8(ascii: "@")), let address = scanner.number(),
            scanner.skip(UInt8(ascii: ":")), let interrupt = scanner.number(),
            interrupt <= UInt64(UInt32.max), size > 0, address != 0, address <= .max - size
        else { return nil }
        if scanner.skip(UInt8(ascii: ":")), scanner.number() == nil { return nil }
        guard scanner.isAtEnd else { return nil }
        self.size = size
        self.address = address
        self.interrupt = UInt32(truncatingIfNeeded: interrupt)
    }
}

/// Reads an unsigned number, decimal or with `0x`; nil if it is none or does not fit.
public func parseNumber(_ line: RawSpan, in range: Range<Int>) -> UInt64? {
    var scanner = OctetScanner(line, in: range)
    guard let value = scanner.number(), scanner.isAtEnd else { return nil }
    return value
}

/// Percent-encoding (RFC 3986 §2.1) of text within one word. A lone `%` is the empty text.
public enum PercentEncoding {
    /// Calls `body` with each octet of the decoded text. A `%` that two hexadecimal digits do not
    /// follow stands for itself.
    public static func decode(_ line: RawSpan, in range: Range<Int>, _ body: (UInt8) -> Void) {
        guard range.upperBound <= line.byteCount, !line.equals("%", in: range) else { return }
        var offset = range.lowerBound
        while offset < range.upperBound {
            let octet = line.octet(offset)
            if octet == Octet.percent, range.upperBound &- offset >= 3,
                let high = hexadecimalDigit(line.octet(offset &+ 1)),
                let low = hexadecimalDigit(line.octet(offset &+ 2))
            {
                body(high &<< 4 | low)
                offset &+= 3
            } else {
                body(octet)
                offset &+= 1
            }
        }
    }

    /// Whether `octet` stands for itself in a word: letters, digits and `-._~/:,@+`.
    static func isPlain(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "+")...UInt8(ascii: ":"), UInt8(ascii: "_"), UInt8(ascii: "~"),
            UInt8(ascii: "@"):
            return true
        default:
            return false
        }
    }
}

func hexadecimalDigit(_ octet: UInt8) -> UInt8? {
    switch octet {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): octet &- UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): octet &- UInt8(ascii: "a") &+ 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): octet &- UInt8(ascii: "A") &+ 10
    default: nil
    }
}

/// Reads tokens from the left of a range of octets.
struct OctetScanner: ~Escapable {
    private let line: RawSpan
    private var offset: Int
    private let end: Int

    @_lifetime(copy line)
    init(_ line: RawSpan, in range: Range<Int>) {
        self.line = line
        end = min(range.upperBound, line.byteCount)
        offset = min(range.lowerBound, end)
    }

    var isAtEnd: Bool { offset >= end }

    @_lifetime(self: copy self)
    mutating func skip(_ octet: UInt8) -> Bool {
        guard offset < end, line.octet(offset) == octet else { return false }
        offset &+= 1
        return true
    }

    /// A decimal number of 64 bits.
    @_lifetime(self: copy self)
    mutating func decimal() -> UInt64? {
        var value: UInt64 = 0
        let start = offset
        while offset < end, let digit = hexadecimalDigit(line.octet(offset)), digit < 10 {
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = scaled.addingReportingOverflow(UInt64(digit))
            if overflow || carry { return nil }
            value = sum
            offset &+= 1
        }
        return offset > start ? value : nil
    }

    /// A number: decimal, or hexadecimal after `0x`.
    @_lifetime(self: copy self)
    @inline(never)
    mutating func number() -> UInt64? {
        guard end &- offset > 2, line.octet(offset) == UInt8(ascii: "0"),
            line.octet(offset &+ 1) | 0x20 == UInt8(ascii: "x")
        else { return decimal() }
        offset &+= 2
        var value: UInt64 = 0
        let start = offset
        while offset < end, let digit = hexadecimalDigit(line.octet(offset)) {
            guard value >> 60 == 0 else { return nil }
            value = value << 4 | UInt64(digit)
            offset &+= 1
        }
        return offset > start ? value : nil
    }

    /// The power of two that K, M or G multiplies by, in either case; 0 without one of them.
    @_lifetime(self: copy self)
    mutating func sizeSuffix() -> UInt64 {
        guard offset < end else { return 0 }
        let shift: UInt64
        switch line.octet(offset) | 0x20 {
        case UInt8(ascii: "k"): shift = 10
        case UInt8(ascii: "m"): shift = 20
        case UInt8(ascii: "g"): shift = 30
        default: return 0
        }
        offset &+= 1
        return shift
    }

    /// An IPv4 address in dotted decimal.
    @_lifetime(self: copy self)
    mutating func address() -> UInt32? {
        var value: UInt32 = 0
        for index in 0..<4 {
            if index > 0 && !skip(Octet.dot) { return nil }
            guard let part = decimal(), part <= 255 else { return nil }
            value = value << 8 | UInt32(truncatingIfNeeded: part)
        }
        return value
    }
}
