// The machine's network under a Linux program's sockets: card and stack, polled by the event loop.
// Made when the first socket is.

import SwiftletMachine
import SwiftletNetwork
import SwiftletNetworkCard
import SwiftletRuntime
import SwiftletVirtio

#if hasFeature(Embedded)
    /// One network card and its stack.
    final class ProgramNetwork: EventSource {
        nonisolated(unsafe) private static var instance: ProgramNetwork?

        private let storage: UnsafeMutablePointer<CardStack>
        @inline(__always) var stack: CardStack {
            _read { yield storage.pointee }
            _modify { yield &storage.pointee }
        }
        private(set) var now: Instant
        /// Sockets by the slots of what they are in the stack; each takes itself out when it is closed.
        private typealias Sockets = PlainList<Unmanaged<SocketFile>?>
        private var connections = Sockets()
        private var listeners = Sockets()
        private var datagrams = Sockets()
        private var unflushed = PlainList<TCPConnectionID>()

        /// The network, started if it was not. ENETDOWN's like, where the machine has no card.
        static func shared() throws(Errno) -> ProgramNetwork {
            if let instance { return instance }
            let now = Instant(nanoseconds: Clock.now)
            guard let stack = NetworkCard.makeStack(now: now) else {
                throw .addressFamilyNotSupported
            }
            let network = ProgramNetwork(storage: stack, now: now)
            if Features.ipv6 { network.stack.configureIPv6(.automatic, now: now) }
            instance = network
            EventLoop.add(network)
            ProgramEnd.hasUndelivered = {
                ProgramNetwork.instance?.stack.hasUndelivered ?? false
            }
            return network
        }

        private init(storage: UnsafeMutablePointer<CardStack>, now: Instant) {
            self.storage = storage
            self.now = now
            super.init()
        }

        // MARK: The event loop's side

        @_optimize(speed)
        override func poll(now nanoseconds: UInt64) -> Bool {
            now = Instant(nanoseconds: nanoseconds)
            let isMore = NetworkCard.poll(&storage.pointee, now: now)
            while let event = stack.nextEvent() { notify(event) }
            return isMore
        }

        override func flush() {
            for index in unflushed.indices { stack.flush(unflushed[index], now: now) }
            unflushed.removeAll()
            stack.interface.device.card.flush()
        }

        override var nextDeadline: UInt64 { stack.nextDeadline.nanoseconds }

        override func armInterrupt() -> Bool { stack.interface.device.card.armInterrupt() }

        override func disarmInterrupt() { NetworkCard.disarmInterrupt(&storage.pointee) }

        private func notify(_ event: NetworkEvent) {
            switch event {
            case .tcp(.acceptable(let id)): Self.notify(listeners, id.slot)
            case .tcp(.readable(let id)), .tcp(.writable(let id)), .tcp(.connected(let id)),
                .tcp(.closed(let id)):
                Self.notify(connections, id.slot)
            case .udp(.readable(let id)): Self.notify(datagrams, id.slot)
            case .addressChanged: break
            case .addressConflict: NetworkCard.reportAddressConflict()
            }
        }

        @inline(__always)
        private static func notify(_ sockets: borrowing Sockets, _ slot: Int) {
            guard slot < sockets.count, let socket = sockets[slot] else { return }
            socket.borrowed { $0.notify() }
        }

        // MARK: Sockets

        private static func set(_ sockets: inout Sockets, _ slot: Int, _ socket: SocketFile?) {
            while sockets.count <= slot { sockets.append(nil) }
            sockets[slot] = socket.map { Unmanaged.passUnretained($0) }
        }

        func set(_ id: TCPConnectionID, _ file: SocketFile?) {
            Self.set(&connections, id.slot, file)
        }

        func set(_ id: TCPListenerID, _ file: SocketFile?) { Self.set(&listeners, id.slot, file) }

        func set(_ id: UDPSocketID, _ file: SocketFile?) { Self.set(&datagrams, id.slot, file) }

        /// Sends what was written to a connection at the end of this turn.
        @inline(__always)
        func flushLater(_ id: TCPConnectionID) {
            if unflushed.isEmpty || unflushed[unflushed.count - 1] != id { unflushed.append(id) }
        }
    }
#endif
