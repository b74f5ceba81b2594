// Datagram sockets: UDP (udp(7)).

import SwiftletNetwork

#if hasFeature(Embedded)
    final class DatagramSocket: SocketFile {
        private var id: UDPSocketID?
        private var remote: ProgramAddress?

        override var type: Int32 { 2 }

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
            guard let peer = peer ?? remote else { throw .destinationRequired }
            let target = try destination(peer)
            let id = try socket()
            let network = network
            try UserMemory.withBytes(address, count) { (bytes) throws(Errno) in
                do throws(UDPError) {
                    try network.stack.sendUDP(
                        id, bytes, to: target, now: network.now)
                } catch {
                    // Nothing says when there is room again. A datagram may be lost on any way.
                    guard error == .busy else { throw Self.errno(error) }
                }
            }
            return count
        }

        override func receive(
            to address: UInt64, _ count: Int, peeks: Bool
        ) throws(Errno) -> (count: Int, length: Int, peer: ProgramAddress?) {
            let id = try socket()
            try UserMemory.checkWritable(address, count)
            // A datagram that is looked at stays by being kept here.
            if kept == nil {
                kept = network.stack.receiveUDP(id) { payload, endpoints in
                    Datagram(
                        payload: payload.array(0..<payload.byteCount),
                        sender: ProgramAddress(endpoints.remote))
                }
            }
            guard let datagram = kept else { throw .again }
            if !peeks { kept = nil }
            let done = min(count, datagram.payload.count)
            try UserMemory.copy([UInt8](datagram.payload.prefix(done)), to: address)
            return (done, datagram.payload.count, datagram.sender)
        }

        private struct Datagram {
            var payload: [UInt8]
            var sender: ProgramAddress
        }

        private var kept: Datagram?

        override func events(_ wanted: UInt32) -> UInt32 {
            guard let id else { return PollEvents.output }
            return (kept != nil || network.stack.receivedCountUDP(id) > 0 ? PollEvents.input : 0)
                | PollEvents.output
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
