// Datagram sockets: UDP (udp(7)).

import SwiftletNetwork

#if hasFeature(Embedded)
    final class DatagramSocket: SocketFile {
        private var id: UDPSocketID?
        private var remote: ProgramAddress?
        /// Of UDP's length, the header included (RFC 768).
        private static let longest = 65535

        override var type: Int32 { 2 }
        override var asDatagrams: DatagramSocket? { self }

        private static func errno(_ error: UDPError) -> Errno {
            switch error {
            case .addressInUse: .addressInUse
            case .tooManySockets: .noBuffers
            case .unreachable: .networkUnreachable
            case .tooLong: .messageTooLong
            case .busy: .again
            case .closed: .badDescriptor
            }
        }

        override func bind(_ address: ProgramAddress) throws(Errno) {
            guard id == nil else { throw .invalid }
            try checkBinding(address)
            try open(address)
        }

        private func open(_ address: ProgramAddress) throws(Errno) {
            do throws(UDPError) {
                let id = try network.stack.bindUDP(
                    address: stackAddress(address.address), port: address.port)
                self.id = id
                network.set(id, self)
                bound = ProgramAddress(address.address, port: network.stack.portUDP(id) ?? 0)
                isBound = true
            } catch {
                throw Self.errno(error)
            }
        }

        private func socket() throws(Errno) -> UDPSocketID {
            if id == nil { try open(bound) }
            guard let id else { throw .noBuffers }
            return id
        }

        override func connect(_ address: ProgramAddress) throws(Errno) {
            let destination = try destination(address)
            _ = try socket()
            remote = ProgramAddress(destination)
        }

        override func disconnect() { remote = nil }

        override func send(
            from address: UInt64, _ count: Int, to peer: ProgramAddress?
        ) throws(Errno) -> Int {
            try UserMemory.withBytes(address, count) { (bytes) throws(Errno) in
                try send(bytes, to: peer)
            }
            return count
        }

        private func send(_ bytes: RawSpan, to peer: ProgramAddress?) throws(Errno) {
            guard let peer = peer ?? remote else { throw .destinationRequired }
            let target = try destination(peer)
            let id = try socket()
            do throws(UDPError) {
                try network.stack.sendUDP(id, bytes, to: target, now: network.now)
            } catch {
                // Nothing says when there is room again. A datagram may be lost on any way.
                guard error == .busy else { throw Self.errno(error) }
            }
        }

        /// Sends one datagram of several parts.
        func send(
            _ parts: [VectorPart], to peer: ProgramAddress?
        ) throws(Errno) -> Int {
            if parts.count == 1 {
                return try send(from: parts[0].address, parts[0].count, to: peer)
            }
            var octets: [UInt8] = []
            for part in parts {
                guard part.count <= Self.longest - octets.count else { throw .messageTooLong }
                octets += try UserMemory.array(part.address, part.count)
            }
            try send(octets.span.bytes, to: peer)
            return octets.count
        }

        override func write(whole parts: [VectorPart]) throws(Errno) -> Int? {
            try send(parts, to: nil)
        }

        override func read(whole parts: [VectorPart]) throws(Errno) -> Int? {
            try receive(into: parts, peeks: false).count
        }

        override func receive(
            to address: UInt64, _ count: Int, peeks: Bool
        ) throws(Errno) -> (count: Int, length: Int, peer: ProgramAddress?) {
            try receive(into: [(address, count)], peeks: peeks)
        }

        override func receive(
            into parts: [VectorPart], peeks: Bool
        ) throws(Errno) -> (count: Int, length: Int, peer: ProgramAddress?) {
            for part in parts { try UserMemory.checkWritable(part.address, part.count) }
            take(try socket())
            guard let datagram = kept else { throw .again }
            if !peeks { kept = nil }
            var done = 0
            for part in parts {
                let end = min(done + part.count, datagram.payload.count)
                try UserMemory.copy([UInt8](datagram.payload[done..<end]), to: part.address)
                done = end
            }
            return (done, datagram.payload.count, datagram.sender)
        }

        /// Keeps the next datagram here, where it can be looked at; of a connected socket, its peer's.
        private func take(_ id: UDPSocketID) {
            while kept == nil {
                let next = network.stack.receiveUDP(id) { payload, endpoints in
                    Datagram(
                        payload: payload.array(0..<payload.byteCount),
                        sender: ProgramAddress(endpoints.remote))
                }
                guard let next else { return }
                if let remote, remote.socketAddress != next.sender.socketAddress { continue }
                kept = next
            }
        }

        private struct Datagram {
            var payload: [UInt8]
            var sender: ProgramAddress
        }

        private var kept: Datagram?

        override func events(_ wanted: UInt32) -> UInt32 {
            guard let id else { return PollEvents.output }
            take(id)
            return (kept != nil ? PollEvents.input : 0) | PollEvents.output
        }

        override func close() {
            guard let id else { return }
            network.set(id, nil)
            network.stack.closeUDP(id)
            self.id = nil
        }

        override var peer: ProgramAddress? { remote }
    }
#endif
