// The machine's network: the card, the stack, and the tasks that wait for them.

import SwiftletMachine
import SwiftletMemory
import SwiftletNetwork
import SwiftletNetworkCard
import SwiftletRuntime
import SwiftletVirtio

#if hasFeature(Embedded)
    /// One network card and its stack, polled by the event loop. Made when the first socket is.
    final class Network: EventSource {
        /// Where a connection's tasks wait; the table is indexed by the connection's slot.
        struct WaitPlaces: BitwiseCopyable {
            var reader = WaitPlace.none
            var writer = WaitPlace.none
        }

        nonisolated(unsafe) private static var instance: Network?

        private let storage: UnsafeMutablePointer<CardStack>
        @inline(__always) var stack: CardStack {
            _read { yield storage.pointee }
            _modify { yield &storage.pointee }
        }
        /// The time of this turn: one reading of the clock serves all that happens in it.
        private(set) var now: Instant
        /// Counts the turns of the event loop.
        private(set) var turn: UInt64 = 1
        private var connectionPlaces = PlainList<WaitPlaces>()
        private var listenerWaiters = PlainList<WaitID>()
        private var datagramWaiters = PlainList<WaitID>()
        /// Connections with octets to send at the end of this turn.
        private var unflushed = PlainList<TCPConnectionID>()

        /// The network, started if it was not.
        static func shared() throws(NetworkError) -> Network {
            if let instance { return instance }
            let now = Instant(nanoseconds: Clock.now)
            guard let stack = NetworkCard.makeStack(now: now) else {
                throw NetworkError.noNetwork.noted()
            }
            let network = Network(storage: stack, now: now)
            instance = network
            EventLoop.add(network)
            return network
        }

        private init(storage: UnsafeMutablePointer<CardStack>, now: Instant) {
            self.storage = storage
            self.now = now
            super.init()
            if Features.ipv6 { stack.configureIPv6(.automatic, now: now) }
        }

        // MARK: The event loop's side

        @_optimize(speed)
        override func poll(now nanoseconds: UInt64) -> Bool {
            now = Instant(nanoseconds: nanoseconds)
            turn &+= 1
            let isMore = NetworkCard.poll(&storage.pointee, now: now)
            while let event = stack.nextEvent() { wake(for: event) }
            return isMore
        }

        @_optimize(speed)
        override func flush() {
            for index in 0..<unflushed.count { stack.flush(unflushed[index], now: now) }
            unflushed.removeAll()
            stack.interface.device.card.flush()
        }

        override var nextDeadline: UInt64 { stack.nextDeadline.nanoseconds }

        override func armInterrupt() -> Bool { stack.interface.device.card.armInterrupt() }

        override func disarmInterrupt() { NetworkCard.disarmInterrupt(&storage.pointee) }

        @inline(__always)
        private func wake(for event: NetworkEvent) {
            switch event {
            case .tcp(.acceptable(let id)):
                Network.wake(&listenerWaiters, id.slot)
            case .tcp(.readable(let id)):
                wake(reader: id)
            case .tcp(.writable(let id)), .tcp(.connected(let id)):
                wake(writer: id)
            case .tcp(.closed(let id)):
                wakeAll(id)
            case .udp(.readable(let id)):
                Network.wake(&datagramWaiters, id.slot)
            case .addressChanged:
                break
            case .addressConflict:
                NetworkCard.reportAddressConflict()
            }
        }

        // MARK: Waiting

        @inline(never)
        private static func wake(_ waiters: inout PlainList<WaitID>, _ slot: Int) {
            guard slot < waiters.count, !waiters[slot].isNone else { return }
            let wait = waiters[slot]
            waiters[slot] = .none
            Waits.wake(wait)
        }

        private static func set(_ waiters: inout PlainList<WaitID>, _ slot: Int, _ wait: WaitID) {
            while waiters.count <= slot { waiters.append(.none) }
            waiters[slot] = wait
        }

        @inline(__always)
        private func wake(reader id: TCPConnectionID) {
            guard id.slot < connectionPlaces.count else { return }
            Waits.wake(connectionPlaces[id.slot].reader)
        }

        @inline(never)
        private func wake(writer id: TCPConnectionID) {
            guard id.slot < connectionPlaces.count else { return }
            Waits.wake(connectionPlaces[id.slot].writer)
        }

        /// Where the reader of a connection waits.
        @inline(__always)
        func readerPlace(_ id: TCPConnectionID) -> WaitPlace {
            if id.slot < connectionPlaces.count, !connectionPlaces[id.slot].reader.isNone {
                return connectionPlaces[id.slot].reader
            }
            return makeReaderPlace(id)
        }

        @inline(never)
        private func makeReaderPlace(_ id: TCPConnectionID) -> WaitPlace {
            growConnectionPlaces(id.slot)
            let place = Waits.makePlace()
            connectionPlaces[id.slot].reader = place
            return place
        }

        /// Where the writer of a connection waits.
        func writerPlace(_ id: TCPConnectionID) -> WaitPlace {
            growConnectionPlaces(id.slot)
            if connectionPlaces[id.slot].writer.isNone {
                connectionPlaces[id.slot].writer = Waits.makePlace()
            }
            return connectionPlaces[id.slot].writer
        }

        /// Ends the reader's wait before its event, as a cancelled task's.
        func interrupt(reader id: TCPConnectionID) {
            guard id.slot < connectionPlaces.count else { return }
            Waits.interrupt(connectionPlaces[id.slot].reader)
        }

        /// Ends the waits of a connection that is over.
        @inline(never)
        func wakeAll(_ id: TCPConnectionID) {
            wake(reader: id)
            wake(writer: id)
        }

        func setAcceptor(_ id: TCPListenerID, _ wait: WaitID) {
            Network.set(&listenerWaiters, id.slot, wait)
        }

        func wakeAcceptor(_ id: TCPListenerID) {
            Network.wake(&listenerWaiters, id.slot)
        }

        /// Has everyone who waits for a client look around.
        static func wakeAcceptors() {
            guard let instance else { return }
            var slot = 0
            while slot < instance.listenerWaiters.count {
                Network.wake(&instance.listenerWaiters, slot)
                slot &+= 1
            }
        }

        func setReceiver(_ id: UDPSocketID, _ wait: WaitID) {
            Network.set(&datagramWaiters, id.slot, wait)
        }

        func wakeReceiver(_ id: UDPSocketID) {
            Network.wake(&datagramWaiters, id.slot)
        }

        private func growConnectionPlaces(_ slot: Int) {
            while connectionPlaces.count <= slot { connectionPlaces.append(WaitPlaces()) }
        }

        /// Sends what was written to a connection at the end of this turn: several small writes
        /// make one segment, and the acknowledgement travels with them.
        @inline(__always)
        func flushLater(_ id: TCPConnectionID) { unflushed.append(id) }
    }
#endif
