// A port of the host that leads to one of the guest: as it is asked for, and its socket.

import CSwiftletKVM
import Glibc

/// A port of the host that leads to one of the guest.
struct PublishedPort: Equatable {
    enum Transport: String { case tcp, udp }

    var transport: Transport
    /// Where it is listened on: `::` is all of both versions.
    var address: NetworkAddress
    var host: UInt16
    var guest: UInt16

    /// Connections that may wait until the guest is there.
    private static let backlog: Int32 = 1024

    /// Reads `tcp:ADDRESS:HOST:GUEST`, with an address of IPv6 in brackets; nil if it is nothing of
    /// the kind.
    init?(_ text: String) {
        var parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 4, let transport = Transport(rawValue: parts.removeFirst()),
            let guest = UInt16(parts.removeLast()), guest > 0,
            let host = UInt16(parts.removeLast()), host > 0
        else { return nil }
        var name = parts.joined(separator: ":")
        let hasBrackets = name.hasPrefix("[") && name.hasSuffix("]") && name.utf8.count > 2
        if hasBrackets { name = String(name.dropFirst().dropLast()) }
        guard let address = NetworkAddress(name),
            name.utf8.contains(UInt8(ascii: ":")) == hasBrackets
        else { return nil }
        (self.transport, self.address, self.host, self.guest) = (transport, address, host, guest)
    }

    /// A socket that has the host's port: one that listens, or one for datagrams.
    func open() throws(MonitorError) -> Int32 {
        let type = transport == .tcp ? SOCK_STREAM : SOCK_DGRAM
        let flags = Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let place = SocketAddress(address, port: host)
        let file = socket(place.family, Int32(type.rawValue) | flags, 0)
        guard file >= 0 else { throw .system("cannot make a socket for port \(host)") }
        var one: Int32 = 1
        var isOfOneVersion: Int32 = address == .unspecified ? 0 : 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        if transport == .tcp { setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &one, size) }
        if place.family == AF_INET6 {
            setsockopt(file, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &isOfOneVersion, size)
        }
        let isBound =
            place.withName { bind(file, $0, $1) } == 0
            && (transport == .udp || listen(file, Self.backlog) == 0)
        guard isBound else {
            let error = MonitorError.system(
                "cannot publish port \(host)/\(transport) on \(address.text)")
            close(file)
            throw error
        }
        return file
    }
}
