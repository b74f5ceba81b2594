// Ports of the guest that the host answers for: `-p [ADDRESS:]HOST:GUEST[/tcp|/udp]`.

import Glibc
import SwiftletBuild

/// One published port.
public struct PublishedPort: Equatable, Sendable {
    public enum Transport: String, Sendable { case tcp, udp }

    /// The host's address that is listened on: loopback unless another is asked for.
    public var address: String
    public var host: UInt16
    public var guest: UInt16
    public var transport: Transport

    public static let loopback = "127.0.0.1"

    public init(
        host: UInt16, guest: UInt16, address: String = loopback, transport: Transport = .tcp
    ) {
        self.address = address
        self.host = host
        self.guest = guest
        self.transport = transport
    }

    /// Reads `[ADDRESS:]HOST:GUEST[/tcp|/udp]`, or one number for both ports.
    public init(_ text: String) throws(ToolError) {
        func reject(_ reason: String) -> ToolError {
            ToolError(
                "-p \(text): \(reason)",
                hint: "Write [ADDRESS:]HOST:GUEST[/udp], for example -p 8080:80.",
                exitCode: ExitCode.usage)
        }
        var rest = Substring(text)
        transport = .tcp
        if let slash = rest.lastIndex(of: "/") {
            guard let named = Transport(rawValue: String(rest[rest.index(after: slash)...])) else {
                throw reject("the transport is neither tcp nor udp")
            }
            transport = named
            rest = rest[..<slash]
        }
        var parts = rest.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        address = Self.loopback
        if parts.count == 3 {
            address = parts.removeFirst()
            var parsed = in_addr()
            guard inet_pton(AF_INET, address, &parsed) == 1 else {
                throw reject("'\(address)' is no IPv4 address")
            }
        } else if parts.count == 1 {
            parts.append(parts[0])
        }
        guard parts.count == 2 else { throw reject("that is no pair of ports") }
        guard let host = UInt16(parts[0]), host > 0 else {
            throw reject("'\(parts[0])' is no port (1 to 65535)")
        }
        guard let guest = UInt16(parts[1]), guest > 0 else {
            throw reject("'\(parts[1])' is no port (1 to 65535)")
        }
        self.host = host
        self.guest = guest
    }

    /// Throws if the host's port cannot be had: better before the machine starts than after.
    public func checkFree() throws(ToolError) {
        let type = transport == .tcp ? Int32(SOCK_STREAM.rawValue) : Int32(SOCK_DGRAM.rawValue)
        let socket = Glibc.socket(AF_INET, type, 0)
        guard socket >= 0 else { return }
        defer { close(socket) }
        var one: Int32 = 1
        if transport == .tcp {
            setsockopt(
                socket, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        }
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = host.bigEndian
        inet_pton(AF_INET, address, &name.sin_addr)
        let bound = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if bound == 0 && (transport == .udp || listen(socket, 1) == 0) { return }
        switch errno {
        case EADDRINUSE:
            throw ToolError(
                "port \(host)/\(transport.rawValue) on \(address) is in use",
                hint: "Publish another, for example -p \(alternative):\(guest).",
                exitCode: ExitCode.monitor)
        case EACCES:
            throw ToolError(
                "port \(host)/\(transport.rawValue) needs root",
                hint: "Publish one above 1023, for example -p \(alternative):\(guest).",
                exitCode: ExitCode.monitor)
        case EADDRNOTAVAIL:
            throw ToolError(
                "\(address) is no address of this host", exitCode: ExitCode.monitor)
        default:
            throw ToolError(
                "cannot listen on \(address):\(host): \(String(cString: strerror(errno)))",
                exitCode: ExitCode.monitor)
        }
    }

    /// Another port that a user may type, above the privileged ones.
    private var alternative: UInt16 {
        host < 1024 ? 8000 + host % 1000 : (host < 65000 ? host + 1 : 8080)
    }

    /// Where a browser finds the guest; nil for UDP.
    public var url: String? {
        guard transport == .tcp else { return nil }
        let shown = address == "0.0.0.0" ? Self.loopback : address
        return host == 80 ? "http://\(shown)/" : "http://\(shown):\(host)/"
    }
}
