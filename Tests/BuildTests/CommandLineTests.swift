// The guest's command line: what the host writes, the guest reads; whatever it is, nothing crashes.

import SwiftletBootProtocol
import SwiftletTestSupport
import Testing

@testable import SwiftletBuild

@Suite("Command line of the guest")
struct CommandLineTests {
    /// All words of a line, decoded.
    static func words(_ line: String) -> [String] {
        let bytes = Array(line.utf8)
        var words = CommandLineWords()
        var result: [String] = []
        func text(_ range: Range<Int>) -> String {
            var octets: [UInt8] = []
            PercentEncoding.decode(bytes.span.bytes, in: range) { octets.append($0) }
            return String(decoding: octets, as: UTF8.self)
        }
        while let word = words.next(in: bytes.span.bytes) {
            switch word {
            case .setting(let key, let value): result.append("\(text(key))=\(text(value))")
            case .flag(let range): result.append("flag \(text(range))")
            case .argument(let range): result.append("argument \(text(range))")
            }
        }
        return result
    }

    @Test("Arguments and environment arrive as they were given")
    func roundTrip() {
        var line = BootCommandLine()
        line.network = .fixed(address: "10.0.2.15", prefixLength: 24, gateway: "10.0.2.2")
        line.exitPort = 0x501
        line.environment = [("NAME", "a b=c%20"), ("EMPTY", "")]
        line.arguments = ["--flag=x", "", "--", "two words", "ü", "%", "a=b"]
        #expect(line.text.hasPrefix("ip=10.0.2.15/24,10.0.2.2 exit.port=0x501 env.NAME=a%20b%3Dc"))
        #expect(
            Self.words(line.text + " virtio_mmio.device=512@0xfeb02e00:12") == [
                "ip=10.0.2.15/24,10.0.2.2", "exit.port=0x501", "env.NAME=a b=c%20", "env.EMPTY=",
                "argument --flag=x", "argument ", "argument --", "argument two words",
                "argument ü", "argument %", "argument a=b",
                "virtio_mmio.device=512@0xfeb02e00:12",
            ])
    }

    @Test("Name servers are a list of addresses, with ports or without")
    func nameServers() {
        func parse(_ text: String) -> [NameServerSetting] {
            let octets = Array(text.utf8)
            var servers: [NameServerSetting] = []
            NameServerSetting.forEach(in: octets.span.bytes, octets.indices) { servers.append($0) }
            return servers
        }
        let first = NameServerSetting(address: 0x0A00_0203, port: 53)
        let second = NameServerSetting(address: 0xC000_0201, port: 5353)
        #expect(parse("10.0.2.3") == [first])
        #expect(parse("10.0.2.3,192.0.2.1:5353") == [first, second])
        #expect(parse("10.0.2.3,192.0.2.1:5353,") == [first, second])
        #expect(parse("10.0.2.3:0") == [])
        #expect(parse("10.0.2.3:65536") == [])
        #expect(parse("x") == [])
        func isValid(_ text: String) -> Bool { NameServerSetting.isValid(Array(text.utf8)) }
        #expect(isValid("10.0.2.3") && isValid("10.0.2.3:1"))
        for text in ["", "10.0.2", "10.0.2.3:", "10.0.2.3:0", "10.0.2.3,10.0.2.4", "10.0.2.3a"] {
            #expect(!isValid(text), "\(text)")
        }
        var line = BootCommandLine()
        line.network = .dhcp
        line.nameServers = ["10.0.2.3", "192.0.2.1:5353"]
        #expect(line.text == "ip=dhcp dns=10.0.2.3,192.0.2.1:5353")
    }

    @Test("Spaces, flags and NUL are what they are on a kernel's command line")
    func oddLines() {
        #expect(Self.words("") == [])
        #expect(Self.words("  quiet   a=1 ") == ["flag quiet", "a=1"])
        #expect(Self.words("a=1\u{0}b=2") == ["a=1"])
        #expect(Self.words("= == a=") == ["=", "==", "a="])
        #expect(
            Self.words("-- x %zz %4 %") == [
                "argument x", "argument %zz", "argument %4", "argument ",
            ])
    }

    @Test("Network settings are read strictly")
    func network() {
        func parse(_ text: String) -> NetworkSetting? {
            let bytes = Array(text.utf8)
            return NetworkSetting(bytes.span.bytes, in: bytes.indices)
        }
        #expect(parse("dhcp") == .dhcp)
        #expect(
            parse("10.0.2.15/24,10.0.2.2")
                == .fixed(address: 0x0A00_020F, prefixLength: 24, gateway: 0x0A00_0202))
        #expect(
            parse("192.168.1.1/32")
                == .fixed(address: 0xC0A8_0101, prefixLength: 32, gateway: 0))
        for text in [
            "", "dhcpx", "10.0.2/24", "10.0.2.15", "10.0.2.15/33", "10.0.2.256/24", "1.2.3.4/",
            "1.2.3.4/24,", "1.2.3.4/24,5", "1.2.3.4/24x", "1.2.3.4/99999999999999999999",
        ] {
            #expect(parse(text) == nil, "\(text)")
        }
    }

    @Test("Virtio devices are read as Linux reads them")
    func virtioDevices() {
        func parse(_ text: String) -> VirtioDeviceSetting? {
            let bytes = Array(text.utf8)
            return VirtioDeviceSetting(bytes.span.bytes, in: bytes.indices)
        }
        let qemu = parse("512@0xfeb02e00:12")
        #expect(qemu?.size == 512 && qemu?.address == 0xFEB0_2E00 && qemu?.interrupt == 12)
        let firecracker = parse("4K@0xd0000000:5:1")
        #expect(firecracker?.size == 4096 && firecracker?.interrupt == 5)
        for (text, size) in [
            ("8k@1:2", 8 << 10), ("3M@1:2", 3 << 20), ("0x10m@1:2", 16 << 20),
            ("2G@1:2", 2 << 30), ("1g@1:2", 1 << 30),
        ] as [(String, UInt64)] {
            #expect(parse(text)?.size == size, "\(text)")
        }
        for text in [
            "17179869184G@1:2", "1T@1:2", "G@1:2", "1GG@1:2", "18014398509481984K@1:2",
            "", "512", "512@", "512@0x:1", "512@1:", "512@1:2:", "512@1:99999999999", "x@1:2",
            "@0x10:1", "512@0x10:1x", "512@0xfffffffffffffff0:1", "0@0x10:1", "512@0:1",
            "512@16:4294967296", "99999999999999999999@1:1", "KK@1:1",
        ] {
            #expect(parse(text) == nil, "\(text)")
        }
        #expect(parse("0xFFFFFFFFFFFFFFFFF@1:2") == nil)
    }

    @Test("Random lines do not crash", arguments: 0..<4 as Range<UInt64>)
    func randomLines(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let alphabet = Array(" =%-0123456789abcdefx./,:@KMGip\u{0}".utf8)
        for _ in 0..<3000 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                alphabet.randomElement(using: &random) ?? 0
            }
            let span = bytes.span.bytes
            var words = CommandLineWords()
            while let word = words.next(in: span) {
                switch word {
                case .setting(let key, let value):
                    _ = NetworkSetting(span, in: value)
                    _ = VirtioDeviceSetting(span, in: value)
                    _ = parseNumber(span, in: key)
                case .flag(let range), .argument(let range):
                    PercentEncoding.decode(span, in: range) { _ in }
                }
            }
        }
    }

    @Test("Names of variables")
    func variableNames() {
        for name in ["A", "_", "PATH_2", "x"] { #expect(BootCommandLine.isVariableName(name)) }
        for name in ["", "2A", "A B", "A=B", "ü", "A-B", "[", "`"] {
            #expect(!BootCommandLine.isVariableName(name), "\(name)")
        }
    }
}
