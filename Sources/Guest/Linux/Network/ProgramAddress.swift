// Addresses of sockets as programs have them (ip(7), ipv6(7)).

import SwiftletNetwork

#if hasFeature(Embedded)
    /// What a socket was made for.
    enum AddressFamily: UInt16 {
        /// AF_INET.
        case v4 = 2
        /// AF_INET6, which has IPv4's addresses in their mapped form.
        case v6 = 10

        /// 0.0.0.0 or `::`.
        var wildcard: IPAddress { self == .v4 ? IPAddress(.any) : .unspecified }
    }

    /// An address and port, as struct sockaddr_in and struct sockaddr_in6 hold them.
    struct ProgramAddress {
        var address: IPAddress
        var port: UInt16
        /// Which of the two it was read from.
        var family = AddressFamily.v6

        /// AF_UNSPEC.
        private static let noFamily: UInt16 = 0
        private static let sizeV4 = 16
        /// Without the scope, as the first programs had it (RFC 2133).
        private static let leastSizeV6 = 24
        private static let sizeV6 = 28

        init(_ address: IPAddress, port: UInt16) {
            self.address = address
            self.port = port
        }

        init(_ address: SocketAddress) { self.init(address.address, port: address.port) }

        var socketAddress: SocketAddress { SocketAddress(address, port: port) }

        /// Whether what lies there names no address, but takes one away (connect(2)).
        static func isUnspecified(at place: UInt64, _ size: UInt64) throws(Errno) -> Bool {
            guard size >= 2 else { return false }
            return try UserMemory.load(place) == noFamily
        }

        /// Reads one of the program's.
        init(at place: UInt64, _ size: UInt64) throws(Errno) {
            guard size >= 2 else { throw .invalid }
            let number: UInt16 = try UserMemory.load(place)
            guard let family = AddressFamily(rawValue: number) else {
                throw .addressFamilyNotSupported
            }
            guard size >= UInt64(family == .v4 ? Self.sizeV4 : Self.leastSizeV6) else {
                throw .invalid
            }
            let port: UInt16 = try UserMemory.load(place &+ 2)
            if family == .v4 {
                let bits: UInt32 = try UserMemory.load(place &+ 4)
                address = IPAddress(IPv4Address(bits: bits.byteSwapped))
            } else {
                let high: UInt64 = try UserMemory.load(place &+ 8)
                let low: UInt64 = try UserMemory.load(place &+ 16)
                address = IPAddress(high: high.byteSwapped, low: low.byteSwapped)
            }
            self.port = port.byteSwapped
            self.family = family
        }

        /// Writes it to the program, as a socket of `family` tells it and as much as there is room for;
        /// says how long it is.
        func store(
            as family: AddressFamily, at place: UInt64, sizeAt sizePlace: UInt64
        ) throws(Errno) {
            guard place != 0 else { return }
            let room: Int32 = try UserMemory.load(sizePlace)
            guard room >= 0 else { throw .invalid }
            var octets: [UInt8] = []
            octets.append(octets: family.rawValue)
            octets.append(octets: port.byteSwapped)
            if family == .v4 {
                octets.append(octets: (address.v4?.bits ?? 0).byteSwapped)
                octets.append(octets: UInt64(0))
            } else {
                octets.append(octets: UInt32(0))
                octets.append(octets: address.high.byteSwapped)
                octets.append(octets: address.low.byteSwapped)
                // There is one link that a link-local address can be of.
                octets.append(octets: UInt32(address.isLinkLocal ? 1 : 0))
            }
            let size = octets.count
            try UserMemory.copy([UInt8](octets.prefix(Int(room))), to: place)
            try UserMemory.store(Int32(size), at: sizePlace)
        }
    }
#endif
