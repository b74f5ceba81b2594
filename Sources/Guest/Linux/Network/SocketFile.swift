// Sockets as open files (socket(7), ip(7)): what streams and datagrams have in common.

import SwiftletNetwork

#if hasFeature(Embedded)
    /// An address and port of IPv4, as struct sockaddr_in holds it (ip(7)).
    struct ProgramAddress {
        var address: IPv4Address
        var port: UInt16

        static var none: ProgramAddress { ProgramAddress(address: .any, port: 0) }

        init(address: IPv4Address, port: UInt16) {
            self.address = address
            self.port = port
        }

        init(_ address: SocketAddress) {
            self.address = address.address.v4 ?? .any
            port = address.port
        }

        var socketAddress: SocketAddress { SocketAddress(IPAddress(address), port: port) }

        static let family: UInt16 = 2
        static let size = 16

        /// Reads one of the program's.
        init(at place: UInt64, _ size: UInt64) throws(Errno) {
            guard size >= 2 else { throw .invalid }
            let family: UInt16 = try UserMemory.load(place)
            guard family == Self.family else { throw .addressFamilyNotSupported }
            guard size >= UInt64(Self.size) else { throw .invalid }
            let port: UInt16 = try UserMemory.load(place &+ 2)
            let bits: UInt32 = try UserMemory.load(place &+ 4)
            self.port = port.byteSwapped
            address = IPv4Address(bits: bits.byteSwapped)
        }

        /// Writes it to the program, as much as there is room for; says how long it is.
        func store(at place: UInt64, sizeAt sizePlace: UInt64) throws(Errno) {
            guard place != 0 else { return }
            let room: Int32 = try UserMemory.load(sizePlace)
            guard room >= 0 else { throw .invalid }
            var octets: [UInt8] = []
            octets.append(octets: Self.family)
            octets.append(octets: port.byteSwapped)
            octets.append(octets: address.bits.byteSwapped)
            while octets.count < Self.size { octets.append(0) }
            try UserMemory.copy([UInt8](octets.prefix(Int(room))), to: place)
            try UserMemory.store(Int32(Self.size), at: sizePlace)
        }
    }

    /// The base of both kinds of socket.
    class SocketFile: OpenFile {
        let network: ProgramNetwork
        override var asSocket: SocketFile? { self }
        /// SOCK_STREAM or SOCK_DGRAM.
        var type: Int32 { 0 }
        /// The port that bind(2) has taken; 0 if none.
        var boundPort: UInt16 = 0
        var boundAddress = IPv4Address.any
        var isBound = false

        /// Ports that streams are bound to or listen at.
        nonisolated(unsafe) static var takenPorts: [UInt16] = []
        nonisolated(unsafe) private static var nextPort: UInt16 = 32768

        init(network: ProgramNetwork, flags: UInt32) {
            self.network = network
            super.init(flags: OpenFlags.readWrite | flags & OpenFlags.nonBlocking)
        }

        static func freePort() throws(Errno) -> UInt16 {
            for _ in 0..<28232 {
                let port = nextPort
                nextPort = nextPort == 60999 ? 32768 : nextPort + 1
                if !takenPorts.contains(port) { return port }
            }
            throw .addressInUse
        }

        func bind(_ address: ProgramAddress) throws(Errno) { throw .notSupported }
        func listen(backlog: Int) throws(Errno) { throw .notSupported }
        func accept(flags: UInt32) throws(Errno) -> SocketFile { throw .notSupported }
        /// Throws `.again` while it is under way.
        func connect(_ address: ProgramAddress) throws(Errno) { throw .notSupported }
        func shutDown(reading: Bool, writing: Bool) throws(Errno) {}
        func send(
            from address: UInt64, _ count: Int, to peer: ProgramAddress?
        ) throws(Errno) -> Int { throw .notSupported }
        func receive(
            to address: UInt64, _ count: Int, peeks: Bool
        ) throws(Errno) -> (count: Int, length: Int, peer: ProgramAddress?) {
            throw .notSupported
        }
        /// An error that has come since, told once (SO_ERROR).
        func takeError() -> Int32 { 0 }
        func setNoDelay(_ value: Bool) {}
        var isListening: Bool { false }
        var local: ProgramAddress { ProgramAddress(address: boundAddress, port: boundPort) }
        var peer: ProgramAddress? { nil }

        /// This machine's address, where a socket is bound to all.
        final var ownAddress: IPv4Address { network.stack.configuration?.address ?? .any }

        override func read(to address: UInt64, _ count: Int) throws(Errno) -> Int {
            try receive(to: address, count, peeks: false).count
        }

        override func write(from address: UInt64, _ count: Int) throws(Errno) -> Int {
            try send(from: address, count, to: nil)
        }

        override func status() -> FileStatus { FileStatus(mode: FileStatus.socket | 0o777) }
    }
#endif
