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
        /// Sockets by the slots of what they are in the stack.
        private var connections: [SocketFile?] = []
        private var listeners: [SocketFile?] = []
        private var datagrams: [SocketFile?] = []
        private var unflushed: [TCPConnectionID] = []

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
            for id in unflushed { stack.flush(id, now: now) }
            unflushed.removeAll(keepingCapacity: true)
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
        private static func notify(_ files: [SocketFile?], _ slot: Int) {
            if slot < files.count, let file = files[slot] { file.notify() }
        }

        // MARK: Sockets

        private static func set(_ files: inout [SocketFile?], _ slot: Int, _ file: SocketFile?) {
            while files.count <= slot { files.append(nil) }
            files[slot] = file
        }

        func set(_ id: TCPConnectionID, _ file: SocketFile?) {
            Self.set(&connections, id.slot, file)
        }

        func set(_ id: TCPListenerID, _ file: SocketFile?) { Self.set(&listeners, id.slot, file) }

        func set(_ id: UDPSocketID, _ file: SocketFile?) { Self.set(&datagrams, id.slot, file) }

        /// Sends what was written to a connection at the end of this turn.
        @inline(__always)
        func flushLater(_ id: TCPConnectionID) {
            if unflushed.last != id { unflushed.append(id) }
        }
    }
#endif
