// The host's side of the guest's command line: what monitors hand to an image.

#if !hasFeature(Embedded)
    /// What a guest is told when it starts.
    public struct BootCommandLine: Equatable, Sendable {
        /// How the guest configures its first network device.
        public enum Network: Equatable, Sendable {
            case dhcp
            /// Dotted decimal, as in `10.0.2.15`.
            case fixed(address: String, prefixLength: Int, gateway: String?)
        }

        public var network: Network?
        /// Name servers, as `ADDRESS` or `ADDRESS:PORT`.
        public var nameServers: [String] = []
        /// The I/O port that takes the exit code.
        public var exitPort: UInt16?
        public var environment: [(name: String, value: String)] = []
        public var arguments: [String] = []

        /// The longest text that reaches a guest whole: QEMU's PVH loader keeps 4096 octets, and
        /// monitors append their devices.
        public static let maximumLength = 3584

        public init() {}

        /// Whether `name` can stand in `env.NAME=`: letters, digits and `_`, no digit first.
        public static func isVariableName(_ name: String) -> Bool {
            guard let first = name.utf8.first, !(0x30...0x39).contains(first) else { return false }
            return name.utf8.allSatisfy {
                ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || (0x30...0x39).contains($0)
                    || $0 == UInt8(ascii: "_")
            }
        }

        /// The words in the form that `CommandLineWords` reads.
        public var text: String {
            var words: [String] = []
            switch network {
            case .dhcp: words.append("ip=dhcp")
            case .fixed(let address, let prefixLength, let gateway):
                words.append("ip=\(address)/\(prefixLength)" + (gateway.map { "," + $0 } ?? ""))
            case nil: break
            }
            if !nameServers.isEmpty { words.append("dns=" + nameServers.joined(separator: ",")) }
            if let exitPort {
                words.append("exit.port=0x" + String(exitPort, radix: 16))
            }
            for (name, value) in environment {
                words.append("env.\(name)=" + PercentEncoding.encode(value))
            }
            if !arguments.isEmpty {
                words.append("--")
                words += arguments.map(PercentEncoding.encode)
            }
            return words.joined(separator: " ")
        }

        public static func == (left: BootCommandLine, right: BootCommandLine) -> Bool {
            left.text == right.text
        }
    }

    extension PercentEncoding {
        /// `text` as one word; the empty text is a lone `%`.
        public static func encode(_ text: String) -> String {
            if text.isEmpty { return "%" }
            let digits = Array("0123456789ABCDEF".utf8)
            var octets: [UInt8] = []
            for octet in text.utf8 {
                if isPlain(octet) {
                    octets.append(octet)
                } else {
                    octets += [Octet.percent, digits[Int(octet >> 4)], digits[Int(octet & 15)]]
                }
            }
            return String(decoding: octets, as: UTF8.self)
        }
    }
#endif
