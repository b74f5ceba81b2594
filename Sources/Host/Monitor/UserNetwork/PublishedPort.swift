// A port of the host that leads to one of the guest: as it is asked for, and its socket.

import CSwiftletKVM
import Glibc

/// A port of the host that leads to one of the guest.
struct PublishedPort: Equatable {
    enum Transport: String { case tcp, udp }

    var transport: Transport
    var address: String
    var host: UInt16
    var guest: UInt16

    /// Connections that may wait until the guest is there.
    private static let backlog: Int32 = 1024

    /// Reads `tcp:ADDRESS:HOST:GUEST`; nil if it is nothing of the kind.
    init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        var parsed = in_addr()
        guard parts.count == 4, let transport = Transport(rawValue: parts[0]),
            inet_pton(AF_INET, parts[1], &parsed) == 1, let host = UInt16(parts[2]), host > 0,
            let guest = UInt16(parts[3]), guest > 0
        else { return nil }
        self.transport = transport
        address = parts[1]
        self.host = host
        self.guest = guest
    }

    /// A socket that has the host's port: one that listens, or one for datagrams.
    func open() throws(MonitorError) -> Int32 {
        let type = transport == .tcp ? SOCK_STREAM : SOCK_DGRAM
        let flags = Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let file = socket(AF_INET, Int32(type.rawValue) | flags, 0)
        guard file >= 0 else { throw .system("cannot make a socket for port \(host)") }
        if transport == .tcp {
            var one: Int32 = 1
            setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        }
        var name = SocketAddress(address: 0, port: host).name
        inet_pton(AF_INET, address, &name.sin_addr)
        let isBound =
            withUnsafePointer(to: &name) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            } == 0 && (transport == .udp || listen(file, Self.backlog) == 0)
        guard isBound else {
            let error = MonitorError.system(
                "cannot publish port \(host)/\(transport) on \(address)")
            close(file)
            throw error
        }
        return file
    }
}

/// An IPv4 address and a port, as numbers.
struct SocketAddress: Equatable {
    var address: UInt32
    var port: UInt16

    init(address: UInt32, port: UInt16) {
        self.address = address
        self.port = port
    }

    init(_ name: sockaddr_in) {
        address = UInt32(bigEndian: name.sin_addr.s_addr)
        port = UInt16(bigEndian: name.sin_port)
    }

    /// As the kernel takes it.
    var name: sockaddr_in {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        name.sin_addr.s_addr = address.bigEndian
        return name
    }
}
