// The machine's network card and the stack on it, for whoever has sockets to serve: the SDK or a
// Linux program.

import SwiftletBootProtocol
import SwiftletMachine
import SwiftletMemory
import SwiftletNetwork
import SwiftletRuntime
import SwiftletVirtio

#if hasFeature(Embedded)
    /// A stack on the machine's card.
    public typealias CardStack = NetworkStack<VirtioLink>

    public enum NetworkCard {
        /// Frames taken in one turn, so that tasks and timers get theirs.
        private static let receiveBudget = 64

        /// Finds the card, and makes a stack with the addresses that the command line gives.
        ///
        /// The stack lives as long as the machine, so nothing ever destroys it: a value that could
        /// be destroyed would need its parts' deinitialisers, which other modules keep.
        ///
        /// - Returns: nil if the machine has no card, or one that cannot be used, which the console
        ///   then says.
        public static func makeStack(now: Instant) -> UnsafeMutablePointer<CardStack>? {
            guard let card = openCard() else { return nil }
            var secret: (UInt64, UInt64) = (0, 0)
            withUnsafeMutableBytes(of: &secret) { Randomness.fill($0) }
            var configuration = NetworkConfiguration()
            // A quarter of memory for what connections hold.
            configuration.tcp.memoryLimit = PageFrames.totalCount / 4 * PageFrames.size
            let storage = UnsafeMutablePointer<CardStack>.allocate(capacity: 1)
            storage.initialize(
                to: NetworkStack(
                    device: VirtioLink(card: card), configuration: configuration, secret: secret))
            storage.pointee.configure(addressSource(), now: now)
            return storage
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

        /// Says on the console why the card cannot be used, or no longer.
        private static func report(_ error: VirtioError) {
            StandardOutput.flush()
            Console.write("swiftlet: network card: ")
            Console.write(error.reason)
            Console.write("\n")
        }

        /// Says on the console that another machine defends our address (RFC 5227 §2.4).
        public static func reportAddressConflict() {
            Console.write("swiftlet: another machine on this network uses our address\n")
        }

        // MARK: The event loop's side

        /// Takes what the card has received, and does what is due.
        ///
        /// - Returns: whether there may be more.
        @inline(__always)
        public static func poll(_ stack: inout CardStack, now: Instant) -> Bool {
            var count = 0
            while count < receiveBudget, let frame = stack.interface.device.card.receiver.next() {
                let verified = frame.checksumVerified
                let bytes = stack.interface.device.card.receiver.unownedBytes(of: frame)
                stack.receive(bytes.bytes, checksumVerified: verified, now: now)
                stack.interface.device.card.receiver.recycle(frame)
                count += 1
            }
            if stack.nextDeadline <= now { stack.poll(now: now) }
            return count == receiveBudget
        }

        /// After a wait: sees whether the card has failed meanwhile.
        @inline(__always)
        public static func disarmInterrupt(_ stack: inout CardStack) {
            if stack.interface.device.card.disarmInterrupt() { check(&stack) }
        }

        /// Apart, so that the common way needs no registers for it.
        @inline(never)
        private static func check(_ stack: inout CardStack) {
            if let error = stack.interface.device.card.check() { report(error) }
        }
    }
#endif
