// The host's name server, which the guest reaches under an address of its own network: what
// resolv.conf(5) names when the machine starts.

import Glibc

/// Reads the host's configuration.
enum HostResolver {
    private static let path = "/etc/resolv.conf"
    private static let longest = 64 << 10
    private static let loopback = NetworkAddress(0x7F00_0001)
    private static let port = UserNetworkAddress.namePort

    /// The first server that this network can reach; nil if there is none.
    static func find() -> SocketAddress? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        // Without the file it is the machine itself, says resolv.conf(5).
        guard file >= 0 else { return SocketAddress(loopback, port: port) }
        defer { close(file) }
        var octets = [UInt8](repeating: 0, count: longest)
        let count = read(file, &octets, octets.count)
        return parse(octets[..<max(count, 0)]).map { SocketAddress($0, port: port) }
    }

    /// The first `nameserver` whose address says all, as one of a link does not. Nil if none does;
    /// the machine itself if none is named.
    static func parse(_ text: ArraySlice<UInt8>) -> NetworkAddress? {
        var hasServer = false
        for line in text.split(separator: UInt8(ascii: "\n")) {
            let words = line.split {
                $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r")
            }
            guard words.count >= 2, words[0].elementsEqual("nameserver".utf8) else { continue }
            hasServer = true
            if let address = NetworkAddress(String(decoding: words[1], as: UTF8.self)),
                !UserNetworkAddress.isOfLink(address)
            {
                return address
            }
        }
        return hasServer ? nil : loopback
    }
}

extension UserNetwork {
    /// Where the host finds what the guest calls `remote`; nil if that is nobody.
    func onHost(_ remote: SocketAddress) -> SocketAddress? {
        if UserNetworkAddress.isNameServer(remote.address) {
            return remote.port == UserNetworkAddress.namePort ? nameServer : nil
        }
        return UserNetworkAddress.onHost(remote.address).map {
            SocketAddress($0, port: remote.port)
        }
    }
}
