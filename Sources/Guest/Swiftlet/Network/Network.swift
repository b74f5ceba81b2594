// The machine's network: the card, the stack, and the tasks that wait for them.

import SwiftletBootProtocol
import SwiftletMachine
import SwiftletMemory
import SwiftletNetwork
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

        /// Frames taken in one turn, so that tasks and timers get theirs.
        private static let receiveBudget = 64

        nonisolated(unsafe) private static var instance: Network?

        /// The stack lives as long as the machine, so nothing ever destroys it: a value that could
        /// be destroyed here would need its parts' deinitialisers, which other modules keep.
        private let storage: UnsafeMutablePointer<NetworkStack<VirtioLink>>
        @inline(__always) var stack: NetworkStack<VirtioLink> {
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
            guard let card = Network.openCard() else { throw NetworkError.noNetwork.noted() }
            let network = Network(card: card)
            instance = network
            EventLoop.add(network)
            return network
        }

        private init(card: consuming VirtioNetwork) {
            var secret: (UInt64, UInt64) = (0, 0)
            withUnsafeMutableBytes(of: &secret) { Randomness.fill($0) }
            now = Instant(nanoseconds: Clock.now)
            var configuration = NetworkConfiguration()
            // A quarter of memory for what connections hold.
            configuration.tcp.memoryLimit = PageFrames.totalCount / 4 * PageFrames.size
            storage = .allocate(capacity: 1)
            storage.initialize(
                to: NetworkStack(
                    device: VirtioLink(card: card), configuration: configuration, secret: secret))
            super.init()
            stack.configure(Network.addressSource(), now: now)
        }

        private static func openCard() -> VirtioNetwork? {
            // Two buffers of 2 KiB for each 128 KiB of memory, so that small machines stay small.
            let buffers = min(max(PageFrames.totalCount / 32, 16), 256)
            let parameters = VirtioNetworkParameters(
                receiveBuffers: buffers, transmitBuffers: buffers,
                largeTransmitBuffers: PageFrames.totalCount / 1024)
            let line = Boot.commandLine.bytes
            guard let transport = VirtioBus.find(.network, commandLine: line) else { return nil }
            do throws(VirtioError) {
                return try VirtioNetwork(transport: transport, parameters: parameters)
            } catch {
                report(error)
                return nil
            }
        }

        /// Says on the console why the card cannot be used, or no longer.
        private static func report(_ error: VirtioError) {
            StandardOutput.flush()
            Console.write("swiftlet: network card: ")
            Console.write(error.reason)
            Console.write("\n")
        }

        private static func addressSource() -> AddressSource {
            let line = Boot.commandLine.bytes
            guard let range = CommandLineWords.value(of: CommandLineKey.network, in: line),
                let setting = NetworkSetting(line, in: range)
            else { return .dhcp }
            switch setting {
            case .dhcp: return .dhcp
            case .fixed(let address, let prefixLength, let gateway):
                let network = IPv4Network(IPv4Address(bits: address), prefixLength: prefixLength)
                return .static(
                    IPv4Configuration(
                        network, gateway: gateway == 0 ? nil : IPv4Address(bits: gateway)))
            }
        }

        // MARK: The event loop's side

        @_optimize(speed)
        override func poll(now nanoseconds: UInt64) -> Bool {
            now = Instant(nanoseconds: nanoseconds)
            turn &+= 1
            var count = 0
            while count < Network.receiveBudget,
                let frame = stack.interface.device.card.receiver.next()
            {
                let verified = frame.checksumVerified
                let bytes = stack.interface.device.card.receiver.unownedBytes(of: frame)
                stack.receive(bytes.bytes, checksumVerified: verified, now: now)
                stack.interface.device.card.receiver.recycle(frame)
                count += 1
            }
            if stack.nextDeadline <= now { stack.poll(now: now) }
            while let event = stack.nextEvent() { wake(for: event) }
            return count == Network.receiveBudget
        }

        @_optimize(speed)
        override func flush() {
            for index in 0..<unflushed.count { stack.flush(unflushed[index], now: now) }
            unflushed.removeAll()
            stack.interface.device.card.flush()
        }

        override var nextDeadline: UInt64 { stack.nextDeadline.nanoseconds }

        override func armInterrupt() -> Bool { stack.interface.device.card.armInterrupt() }

        override func disarmInterrupt() {
            // The card says that its state has changed: it may have failed.
            if stack.interface.device.card.disarmInterrupt(),
                let error = stack.interface.device.card.check()
            {
                Network.report(error)
            }
        }

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
                Console.write("swiftlet: another machine on this network uses our address\n")
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
