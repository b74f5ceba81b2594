// Addresses of both versions of IP, and with a port, as the kernel takes and gives them.

import Glibc

/// An address of 128 bits; one of IPv4 in its mapped form (RFC 4291 §2.5.5.2).
struct NetworkAddress: Hashable {
    var high: UInt64
    var low: UInt64

    init(high: UInt64, low: UInt64) {
        (self.high, self.low) = (high, low)
    }

    init(_ address: UInt32) {
        self.init(high: 0, low: 0xFFFF << 32 | UInt64(address))
    }

    /// The sixteen octets from `offset` on, which the caller knows to be there.
    init(_ octets: UnsafeRawBufferPointer, _ offset: Int) {
        high = UInt64(bigEndian: octets.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        low = UInt64(bigEndian: octets.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self))
    }

    /// Reads an address of either version; nil if it is none.
    init?(_ text: String) {
        var octets = (UInt64(0), UInt64(0))
        if inet_pton(AF_INET6, text, &octets) == 1 {
            self.init(high: UInt64(bigEndian: octets.0), low: UInt64(bigEndian: octets.1))
        } else if inet_pton(AF_INET, text, &octets) == 1 {
            // The first four octets are those in lower addresses.
            self.init(UInt32(bigEndian: UInt32(truncatingIfNeeded: octets.0)))
        } else {
            return nil
        }
    }

    /// The address of IPv4 that this is; nil for one of IPv6.
    var v4: UInt32? {
        high == 0 && low >> 32 == 0xFFFF ? UInt32(truncatingIfNeeded: low) : nil
    }

    /// As people write it (RFC 5952).
    var text: String {
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        var octets = (high.bigEndian, low.bigEndian)
        if var v4 = v4?.bigEndian {
            inet_ntop(AF_INET, &v4, &buffer, socklen_t(INET6_ADDRSTRLEN))
        } else {
            inet_ntop(AF_INET6, &octets, &buffer, socklen_t(INET6_ADDRSTRLEN))
        }
        return String(
            decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    var isV4: Bool { v4 != nil }

    static let unspecified = NetworkAddress(high: 0, low: 0)
    static let loopback = NetworkAddress(high: 0, low: 1)
}

/// An address and a port, as numbers.
struct SocketAddress: Hashable {
    var address: NetworkAddress
    var port: UInt16

    init(_ address: NetworkAddress, port: UInt16) {
        (self.address, self.port) = (address, port)
    }

    /// One of IPv4.
    init(address: UInt32, port: UInt16) {
        self.init(NetworkAddress(address), port: port)
    }

    /// AF_INET or AF_INET6: what sockets for it are of.
    var family: Int32 { address.isV4 ? AF_INET : AF_INET6 }

    /// Hands its name to a call of the kernel's.
    func withName<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        func call<N>(_ name: N) -> R {
            withUnsafePointer(to: name) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<N>.size))
                }
            }
        }
        if let v4 = address.v4 {
            var name = sockaddr_in()
            name.sin_family = sa_family_t(AF_INET)
            name.sin_port = port.bigEndian
            name.sin_addr.s_addr = v4.bigEndian
            return call(name)
        }
        var name = sockaddr_in6()
        name.sin6_family = sa_family_t(AF_INET6)
        name.sin6_port = port.bigEndian
        withUnsafeMutableBytes(of: &name.sin6_addr) {
            $0.storeBytes(of: address.high.bigEndian, toByteOffset: 0, as: UInt64.self)
            $0.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return call(name)
    }

    /// The result of a call of the kernel's and the name that it gave: of either version.
    static func taking<R>(
        _ body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> R
    ) -> (result: R, name: SocketAddress) {
        // Room for both; the family stands at the same place.
        var name = sockaddr_in6()
        var size = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let result = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, &size) }
        }
        return (result, withUnsafeBytes(of: name) { SocketAddress(name: $0) })
    }

    /// A struct sockaddr_in6, or a sockaddr_in in the room of one.
    private init(name: UnsafeRawBufferPointer) {
        let isV4 = name.loadUnaligned(as: sa_family_t.self) != sa_family_t(AF_INET6)
        self.init(
            isV4 ? NetworkAddress(name.word32(4)) : NetworkAddress(name, 8), port: name.word16(2))
    }

    /// As connect(2).
    func connect(_ file: Int32) -> Int32 { withName { Glibc.connect(file, $0, $1) } }

    /// Whether this host has IPv6, if only on its loopback interface.
    static func hasIPv6() -> Bool {
        let file = socket(AF_INET6, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard file >= 0 else { return false }
        defer { close(file) }
        return SocketAddress(.loopback, port: 0).withName { bind(file, $0, $1) } == 0
    }
}
