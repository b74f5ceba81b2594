// The program's command line. `swiftlet run` writes it; people may too.

import Glibc
import SwiftletBootProtocol

extension MachineSettings {
    static let usage = """
        usage: swiftlet-monitor [--memory OCTETS] [--command-line TEXT] [--tap NAME | --user-network]
            [--publish tcp|udp:ADDRESS:HOST:GUEST]… [--hardware-address XX:XX:XX:XX:XX:XX]
            [--disk FILE[:ro]] [--input DESCRIPTOR] IMAGE
        """

    /// Reads the arguments behind the program's name.
    init(arguments: [String]) throws(MonitorError) {
        self.init(image: "")
        var rest = arguments[...]
        func value(of option: String) throws(MonitorError) -> String {
            guard let value = rest.popFirst() else {
                throw MonitorError("\(option) needs a value\n\(Self.usage)")
            }
            return value
        }
        while let argument = rest.popFirst() {
            switch argument {
            case "--memory":
                let text = try value(of: argument)
                guard let octets = UInt64(text), octets > 0 else {
                    throw MonitorError("--memory \(text): that is no number of octets")
                }
                memory = octets
            case "--command-line":
                commandLine = try value(of: argument)
            case "--tap":
                network = .tap(try value(of: argument))
            case "--user-network":
                network = .user
            case "--publish":
                let text = try value(of: argument)
                guard let port = PublishedPort(text) else {
                    throw MonitorError("--publish \(text): that is no published port")
                }
                ports.append(port)
            case "--disk":
                let text = try value(of: argument)
                guard disk == nil, let settings = DiskSettings(text) else {
                    throw MonitorError("--disk \(text): one disk is given, by a file's name")
                }
                disk = settings
            case "--input":
                input = try Self.parse(input: try value(of: argument))
            case "--hardware-address":
                hardwareAddress = try Self.parse(hardwareAddress: try value(of: argument))
            default:
                guard !argument.hasPrefix("-"), image.isEmpty, !argument.isEmpty else {
                    throw MonitorError("'\(argument)' is not understood\n\(Self.usage)")
                }
                image = argument
            }
        }
        guard ports.isEmpty || network == .user else {
            throw MonitorError("--publish goes with --user-network\n\(Self.usage)")
        }
        guard !image.isEmpty else { throw MonitorError("no image is given\n\(Self.usage)") }
    }

    /// A descriptor that is open, and not one of the standard three: those have their meaning.
    private static func parse(input text: String) throws(MonitorError) -> Int32 {
        guard let file = Int32(text), file > STDERR_FILENO, fcntl(file, F_GETFD) >= 0 else {
            throw MonitorError(
                "--input \(text): that is no open descriptor above \(STDERR_FILENO)")
        }
        return file
    }

    /// Six octets in hexadecimal with colons between them.
    private static func parse(hardwareAddress text: String) throws(MonitorError) -> [UInt8] {
        let octets = text.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
            .compactMap { $0.count == 2 ? UInt8(String(Substring($0)), radix: 16) : nil }
        // The lowest bit of the first octet is a group's (IEEE 802-2014 §8.2).
        guard octets.count == 6, text.utf8.count == 17, octets[0] & 1 == 0 else {
            throw MonitorError("--hardware-address \(text): that is no card's address")
        }
        return octets
    }
}
