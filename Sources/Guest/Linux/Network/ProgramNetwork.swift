// The machine's network under a Linux program's sockets: card and stack, polled by the event loop.
// Made when the first socket is.

import SwiftletBootProtocol
import SwiftletMachine
import SwiftletMemory
import SwiftletNetwork
import SwiftletRuntime
import SwiftletVirtio

#if hasFeature(Embedded)
    /// A virtio network card under the stack.
    struct ProgramLink: NetworkDevice, ~Copyable {
        var card: VirtioNetwork

        var hardwareAddress: UInt64 { card.hardwareAddress }
        var maximumTransmissionUnit: Int { card.maximumTransmissionUnit }
        var offloadsTransmitChecksum: Bool { card.offloadsTransmitChecksum }

        @inline(__always)
        mutating func transmit(
            length: Int, checksum: ChecksumRequest?, fill: (inout MutableRawSpan) -> Void
        ) -> Bool {
            card.transmit(
                length: length, checksumStart: checksum?.start ?? 0,
                checksumOffset: checksum?.offset ?? 0, needsChecksum: checksum != nil, fill: fill)
        }
    }

    /// One network card and its stack.
    final class ProgramNetwork: EventSource {
        /// Frames taken in one turn, so that threads and timers get theirs.
        private static let receiveBudget = 64

        nonisolated(unsafe) private static var instance: ProgramNetwork?

        /// The stack lives as long as the machine: nothing ever destroys it.
        private let storage: UnsafeMutablePointer<NetworkStack<ProgramLink>>
        @inline(__always) var stack: NetworkStack<ProgramLink> {
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
            guard let card = openCard() else { throw .addressFamilyNotSupported }
            let network = ProgramNetwork(card: card)
            instance = network
            EventLoop.add(network)
            ProgramEnd.hasUndelivered = {
                ProgramNetwork.instance?.stack.hasUndelivered ?? false
            }
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
                    device: ProgramLink(card: card), configuration: configuration, secret: secret))
            super.init()
            stack.configure(Self.addressSource(), now: now)
        }

        private static func openCard() -> VirtioNetwork? {
            let buffers = min(max(PageFrames.totalCount / 32, 16), 256)
            let parameters = VirtioNetworkParameters(
                receiveBuffers: buffers, transmitBuffers: buffers)
            guard
                let transport = VirtioBus.find(.network, commandLine: Boot.commandLine.bytes)
            else { return nil }
            return try? VirtioNetwork(transport: transport, parameters: parameters)
        }

        private static func addressSource() -> AddressSource {
            let line = Boot.commandLine.bytes
            guard let range = CommandLineWords.value(of: CommandLineKey.network, in: line),
                let setting = NetworkSetting(line, in: range),
                case .fixed(let address, let prefixLength, let gateway) = setting
            else { return .dhcp }
            return .static(
                IPv4Configuration(
                    IPv4Network(IPv4Address(bits: address), prefixLength: prefixLength),
                    gateway: gateway == 0 ? nil : IPv4Address(bits: gateway)))
        }

        // MARK: The event loop's side

        @_optimize(speed)
        override func poll(now nanoseconds: UInt64) -> Bool {
            now = Instant(nanoseconds: nanoseconds)
            var count = 0
            while count < Self.receiveBudget,
                let frame = stack.interface.device.card.receiver.next()
            {
                let verified = frame.checksumVerified
                let bytes = stack.interface.device.card.receiver.unownedBytes(of: frame)
                stack.receive(bytes.bytes, checksumVerified: verified, now: now)
                stack.interface.device.card.receiver.recycle(frame)
                count += 1
            }
            if stack.nextDeadline <= now { stack.poll(now: now) }
            while let event = stack.nextEvent() { notify(event) }
            return count == Self.receiveBudget
        }

        override func flush() {
            for id in unflushed { stack.flush(id, now: now) }
            unflushed.removeAll(keepingCapacity: true)
            stack.interface.device.card.flush()
        }

        override var nextDeadline: UInt64 { stack.nextDeadline.nanoseconds }

        override func armInterrupt() -> Bool { stack.interface.device.card.armInterrupt() }

        override func disarmInterrupt() {
            if stack.interface.device.card.disarmInterrupt(),
                let error = stack.interface.device.card.check()
            {
                Console.write("swiftlet: network card: ")
                Console.write(error.reason)
                Console.write("\n")
            }
        }

        private func notify(_ event: NetworkEvent) {
            switch event {
            case .tcp(.acceptable(let id)): Self.notify(listeners, id.slot)
            case .tcp(.readable(let id)), .tcp(.writable(let id)), .tcp(.connected(let id)),
                .tcp(.closed(let id)):
                Self.notify(connections, id.slot)
            case .udp(.readable(let id)): Self.notify(datagrams, id.slot)
            case .addressChanged: break
            case .addressConflict:
                Console.write("swiftlet: another machine on this network uses our address\n")
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
