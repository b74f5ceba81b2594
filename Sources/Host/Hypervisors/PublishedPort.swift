// Ports of the guest that the host answers for: `-p [ADDRESS:]HOST:GUEST[/tcp|/udp]`, with an address of
// IPv6 in brackets.

import Glibc
import SwiftletBuild

/// One published port.
public struct PublishedPort: Equatable, Sendable {
    public enum Transport: String, Sendable { case tcp, udp }

    /// The host's address that is listened on: loopback unless another is asked for. `::` is all
    /// addresses of both versions.
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
                hint: "Write [ADDRESS:]HOST:GUEST[/udp], for example -p 8080:80 or "
                    + "-p '[::1]:8080:80'.",
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
        address = Self.loopback
        let hasBrackets = rest.hasPrefix("[")
        if hasBrackets {
            guard let end = rest.firstIndex(of: "]"), rest[end...].hasPrefix("]:") else {
                throw reject("a colon and two ports are to follow the address in brackets")
            }
            address = String(rest[rest.index(after: rest.startIndex)..<end])
            var parsed = in6_addr()
            guard inet_pton(AF_INET6, address, &parsed) == 1 else {
                throw reject("'\(address)' is no IPv6 address")
            }
            rest = rest[rest.index(end, offsetBy: 2)...]
        }
        var parts = rest.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        if parts.count == 3, !hasBrackets {
            address = parts.removeFirst()
            var parsed = in_addr()
            guard inet_pton(AF_INET, address, &parsed) == 1 else {
                throw reject("'\(address)' is no IPv4 address")
            }
        } else if parts.count == 1, !hasBrackets {
            parts.append(parts[0])
        }
        guard parts.count == 2 else {
            throw reject(
                parts.count > 3
                    ? "an IPv6 address stands in brackets" : "that is no pair of ports")
        }
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
        let socket = Glibc.socket(isIPv6 ? AF_INET6 : AF_INET, type, 0)
        guard socket >= 0 else {
            if isIPv6, errno == EAFNOSUPPORT { throw noIPv6 }
            return
        }
        defer { close(socket) }
        var one: Int32 = 1
        var isOfOneVersion: Int32 = address == "::" ? 0 : 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        if transport == .tcp { setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &one, size) }
        if isIPv6 {
            setsockopt(socket, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &isOfOneVersion, size)
        }
        if bindName(of: socket) == 0 && (transport == .udp || listen(socket, 1) == 0) { return }
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
        case EADDRNOTAVAIL where address == "::1": throw noIPv6
        case EADDRNOTAVAIL:
            throw ToolError(
                "\(address) is no address of this host", exitCode: ExitCode.monitor)
        default:
            throw ToolError(
                "cannot listen on \(place):\(host): \(String(cString: strerror(errno)))",
                exitCode: ExitCode.monitor)
        }
    }

    private var noIPv6: ToolError {
        ToolError(
            "cannot publish on \(address): this host has no IPv6",
            hint: "Publish on an IPv4 address, for example -p \(host):\(guest).",
            exitCode: ExitCode.monitor)
    }

    /// As bind(2), to the address and the host's port.
    private func bindName(of socket: Int32) -> Int32 {
        func call<N>(_ name: N) -> Int32 {
            withUnsafePointer(to: name) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(socket, $0, socklen_t(MemoryLayout<N>.size))
                }
            }
        }
        guard isIPv6 else {
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = host.bigEndian
            inet_pton(AF_INET, address, &name.sin_addr)
            return call(name)
        }
        var name = sockaddr_in6()
        name.sin6_family = sa_family_t(AF_INET6)
        name.sin6_port = host.bigEndian
        inet_pton(AF_INET6, address, &name.sin6_addr)
        return call(name)
    }

    public var isIPv6: Bool { address.utf8.contains(UInt8(ascii: ":")) }

    /// The address as it stands before a colon and a port.
    public var place: String { isIPv6 ? "[\(address)]" : address }

    /// Another port that a user may type, above the privileged ones.
    private var alternative: UInt16 {
        host < 1024 ? 8000 + host % 1000 : (host < 65000 ? host + 1 : 8080)
    }

    /// Where a browser finds the guest; nil for UDP.
    public var url: String? {
        guard transport == .tcp else { return nil }
        let shown = address == "0.0.0.0" ? Self.loopback : address == "::" ? "[::1]" : place
        return host == 80 ? "http://\(shown)/" : "http://\(shown):\(host)/"
    }
}
