// Sockets as open files (socket(7), ip(7), ipv6(7)): what streams and datagrams have in common.

import SwiftletNetwork

#if hasFeature(Embedded)
    /// The base of both kinds of socket.
    class SocketFile: OpenFile {
        let network: ProgramNetwork
        override var asSocket: SocketFile? { self }
        /// SOCK_STREAM or SOCK_DGRAM.
        var type: Int32 { 0 }
        let family: AddressFamily
        /// Of an IPv6 socket: it has nothing to do with IPv4 (IPV6_V6ONLY).
        var isOnlyIPv6 = false
        /// What bind(2) has been given, with the port that it has taken; a wildcard and 0 before.
        var bound: ProgramAddress
        var isBound = false

        /// What streams are bound to or listen at.
        nonisolated(unsafe) private static var taken: [(port: UInt16, address: IPAddress?)] = []
        nonisolated(unsafe) private static var nextPort: UInt16 = 32768

        init(network: ProgramNetwork, family: AddressFamily, flags: UInt32) {
            self.network = network
            self.family = family
            bound = ProgramAddress(family.wildcard, port: 0)
            super.init(flags: OpenFlags.readWrite | flags & OpenFlags.nonBlocking)
        }

        // MARK: Addresses

        /// What the stack is to bind this socket to: nil for all addresses of both versions.
        final func stackAddress(_ address: IPAddress) -> IPAddress? {
            address == .unspecified && !isOnlyIPv6 ? nil : address
        }

        /// Whether an address is one of this socket's; one of IPv4's is too short for an IPv6 socket.
        private func checkFamily(_ address: ProgramAddress) throws(Errno) {
            guard address.family == family else {
                throw family == .v6 ? .invalid : .addressFamilyNotSupported
            }
        }

        /// Whether a socket of this kind can be bound to an address.
        final func checkBinding(_ address: ProgramAddress) throws(Errno) {
            try checkFamily(address)
            guard !isOnlyIPv6 || address.address.v4 == nil else { throw .invalid }
            guard address.address.isWildcard || network.stack.isLocal(address.address) else {
                throw .addressNotAvailable
            }
        }

        /// Where a socket of this kind sends what is for an address: 0.0.0.0 and `::` are this machine.
        final func destination(_ address: ProgramAddress) throws(Errno) -> SocketAddress {
            // Datagrams of an IPv6 socket may go to IPv4's addresses as they are.
            if type == 1 { try checkFamily(address) }
            let isV4 = address.address.v4 != nil
            guard isV4 || family == .v6 else { throw .addressFamilyNotSupported }
            guard !isV4 || !isOnlyIPv6 else { throw .networkUnreachable }
            var target = address.socketAddress
            if target.address.isWildcard {
                target.address = isV4 ? IPAddress(IPv4Address(127, 0, 0, 1)) : .loopback
            }
            return target
        }

        /// Takes a port for a stream; 0 picks a free one.
        final func takePort(_ address: ProgramAddress) throws(Errno) {
            let place = stackAddress(address.address)
            var port = address.port
            if port == 0 {
                port = try Self.freePort()
            } else if Self.taken.contains(where: {
                $0.port == port && Self.areInTheWay($0.address, place)
            }) {
                throw .addressInUse
            }
            bound = ProgramAddress(address.address, port: port)
            isBound = true
            Self.taken.append((port, place))
        }

        final func returnPort() {
            let place = stackAddress(bound.address)
            if isBound,
                let index = Self.taken.firstIndex(where: {
                    $0.port == bound.port && $0.address == place
                })
            {
                Self.taken.remove(at: index)
            }
            isBound = false
        }

        private static func areInTheWay(_ one: IPAddress?, _ other: IPAddress?) -> Bool {
            guard let one, let other, one != other else { return true }
            return (one.isWildcard || other.isWildcard) && (one.v4 == nil) == (other.v4 == nil)
        }

        private static func freePort() throws(Errno) -> UInt16 {
            for _ in 0..<28232 {
                let port = nextPort
                nextPort = nextPort == 60999 ? 32768 : nextPort + 1
                if !taken.contains(where: { $0.port == port }) { return port }
            }
            throw .addressInUse
        }

        // MARK: What kinds have

        func bind(_ address: ProgramAddress) throws(Errno) { throw .notSupported }
        func listen(backlog: Int) throws(Errno) { throw .notSupported }
        func accept(flags: UInt32) throws(Errno) -> SocketFile { throw .notSupported }
        /// Throws `.again` while it is under way.
        func connect(_ address: ProgramAddress) throws(Errno) { throw .notSupported }
        /// connect(2) has been called, and is under way.
        var isConnecting: Bool { false }
        /// connect(2) with AF_UNSPEC.
        func disconnect() throws(Errno) { throw .addressFamilyNotSupported }
        func shutDown(reading: Bool, writing: Bool) throws(Errno) {}
        func send(
            from address: UInt64, _ count: Int, to peer: ProgramAddress?
        ) throws(Errno) -> Int { throw .notSupported }
        func receive(
            to address: UInt64, _ count: Int, peeks: Bool
        ) throws(Errno) -> (count: Int, length: Int, peer: ProgramAddress?) {
            throw .notSupported
        }
        /// The same into several parts: a stream's octets go on in the next one. Octets that are looked
        /// at stay where they are, so they fill the first part alone.
        func receive(
            into parts: [VectorPart], peeks: Bool
        ) throws(Errno) -> (count: Int, length: Int, peer: ProgramAddress?) {
            let parts = peeks ? [VectorPart](parts.prefix(1)) : parts
            let done = try Calls.inOrder(parts) { (address, count, _) throws(Errno) in
                try receive(to: address, count, peeks: peeks).count
            }
            return (done, done, nil)
        }
        /// An error that has come since, told once (SO_ERROR).
        func takeError() -> Int32 { 0 }
        func setNoDelay(_ value: Bool) {}
        var isListening: Bool { false }
        var local: ProgramAddress { bound }
        var peer: ProgramAddress? { nil }

        override func read(to address: UInt64, _ count: Int) throws(Errno) -> Int {
            try receive(to: address, count, peeks: false).count
        }

        override func write(from address: UInt64, _ count: Int) throws(Errno) -> Int {
            try send(from: address, count, to: nil)
        }

        override func status() -> FileStatus { FileStatus(mode: FileStatus.socket | 0o777) }
    }
#endif
