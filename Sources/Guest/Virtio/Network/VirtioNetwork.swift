// Network device (§5.1): one pair of queues, checksum offload, mergeable buffers.
//
// The two halves are separate values, so that a frame can be answered while it is looked at: its bytes
// belong to the receiver, the answer to the transmitter.

import SwiftletMachine

/// A network card.
public struct VirtioNetwork: ~Copyable {
    /// Receives frames.
    public var receiver: NetworkReceiver
    /// Sends frames.
    public var transmitter: NetworkTransmitter
    @usableFromInline let transport: VirtioTransport
    private let features: VirtioFeatures
    private var isReported = false

    /// Sets the device up; frames are received from now on.
    ///
    /// - Throws: why the device cannot be used; it is reset or marked FAILED then.
    public init(
        transport: VirtioTransport, parameters: VirtioNetworkParameters = VirtioNetworkParameters()
    ) throws(VirtioError) {
        guard transport.deviceType == .network else {
            throw VirtioError(.absent, "not a network device")
        }
        var wanted: VirtioFeatures = [
            .networkChecksum, .networkGuestChecksum, .networkMTU, .networkAddress,
            .networkMergeableBuffers, .networkStatus, .networkHostSegmentation,
            .networkHostSegmentationIPv6,
        ]
        // A segment of 64 KiB fills 33 buffers: it must not be half of them all.
        if parameters.receiveBuffers >= 64 {
            wanted.formUnion([.networkGuestSegmentation, .networkGuestSegmentationIPv6])
        }
        let features = try transport.negotiate(required: [], wanted: wanted)
        do throws(VirtioError) {
            let configuration = try Configuration(transport, features: features)
            let receiver = try NetworkReceiver(
                transport: transport, features: features, buffers: parameters.receiveBuffers)
            let transmitter = try NetworkTransmitter(
                transport: transport, features: features, buffers: parameters.transmitBuffers,
                largeBuffers: parameters.largeTransmitBuffers,
                hardwareAddress: configuration.address,
                maximumTransmissionUnit: configuration.mtu)
            self.receiver = receiver
            self.transmitter = transmitter
        } catch {
            transport.fail()
            throw error
        }
        self.transport = transport
        self.features = features
        transport.start()
        receiver.queue.kick()
    }

    /// The device lets go of the buffers before they are freed.
    deinit {
        try? transport.reset()
    }

    /// The card's address, six octets in the low bits.
    public var hardwareAddress: UInt64 { transmitter.hardwareAddress }
    /// The longest IP packet, in octets.
    public var maximumTransmissionUnit: Int { transmitter.maximumTransmissionUnit }
    /// True if the device computes checksums.
    public var offloadsTransmitChecksum: Bool { transmitter.offloadsTransmitChecksum }
    /// The longest IP packet that the device cuts into segments, in octets; 0 if it does not.
    public var longestSegmentedPacket: Int { transmitter.longestSegmentedPacket }
    /// The same for segments over IPv6.
    public var longestSegmentedPacketIPv6: Int { transmitter.longestSegmentedPacketIPv6 }

    /// False if the device says that its link is down (§5.1.4.1). Costs an exit.
    public var isLinkUp: Bool {
        guard features.contains(.networkStatus) else { return true }
        // VIRTIO_NET_S_LINK_UP is 1.
        return transport.configuration.load16(NetworkConfiguration.status) & 1 != 0
    }

    /// Queues one frame; see `NetworkTransmitter`.
    @inlinable public mutating func transmit(
        length: Int, checksumStart: UInt16, checksumOffset: UInt16, needsChecksum: Bool,
        segmentSize: UInt16 = 0, headerLength: UInt16 = 0, isIPv6: Bool = false,
        fill: (inout MutableRawSpan) -> Void
    ) -> Bool {
        transmitter.transmit(
            length: length, checksumStart: checksumStart, checksumOffset: checksumOffset,
            needsChecksum: needsChecksum, segmentSize: segmentSize, headerLength: headerLength,
            isIPv6: isIPv6, fill: fill)
    }

    /// Hands at most `budget` received frames to `body`, together with the transmitter to answer with;
    /// each buffer goes back to the device when `body` returns.
    ///
    /// - Returns: how many frames were handed over.
    @inlinable public mutating func receive(
        budget: Int,
        _ body: (RawSpan, _ checksumVerified: Bool, inout NetworkTransmitter) -> Void
    ) -> Int {
        receiver.receive(budget: budget, answeringWith: &transmitter, body)
    }

    /// Tells the device about frames to send and about free buffers, where it wants to be told.
    @inlinable public mutating func flush() {
        if transmitter.queue.needsKick { transmitter.queue.kick() }
        if receiver.queue.needsKick { receiver.queue.kick() }
    }

    /// Wants an interrupt at the next frame, and at the next free buffer if there was none. Call
    /// before `hlt`, with interrupts off.
    ///
    /// - Returns: true if there is work already: do not wait.
    public mutating func armInterrupt() -> Bool {
        flush()
        if transmitter.isStarved, transmitter.queue.arm() {
            transmitter.isStarved = false
            return true
        }
        return receiver.queue.arm()
    }

    /// Wants no interrupts, and ends the one that woke. Call after `hlt`.
    ///
    /// - Returns: true if the device says that its configuration or status has changed: see `check`.
    @discardableResult
    public mutating func disarmInterrupt() -> Bool {
        receiver.queue.disarm()
        if transmitter.isStarved {
            transmitter.queue.disarm()
            transmitter.isStarved = false
        }
        return transport.acknowledgeInterrupt().contains(.configuration)
    }

    /// The device's failure, once: a broken rule in a queue, or DEVICE_NEEDS_RESET (§2.1.2). Costs an
    /// exit; for a slow timer, and for when `disarmInterrupt` returned true.
    public mutating func check() -> VirtioError? {
        guard !isReported else { return nil }
        let failure = receiver.queue.failure ?? transmitter.queue.failure ?? transport.health()
        isReported = failure != nil
        return failure
    }
}

extension VirtioNetwork {
    /// What is read once from the device's configuration.
    private struct Configuration {
        let address: UInt64
        let mtu: Int

        init(_ transport: VirtioTransport, features: VirtioFeatures) throws(VirtioError) {
            guard transport.configurationSize >= NetworkConfiguration.size else {
                throw VirtioError(.misbehaved, "network configuration is too short")
            }
            let registers = transport.configuration
            var address: UInt64 = 0
            var mtu: UInt16 = 1500
            // Fields of several octets may change in between (§2.5.1).
            for _ in 0..<8 {
                let generation = transport.configurationGeneration
                if features.contains(.networkAddress) {
                    address = 0
                    for octet in 0..<6 as Range<UInt> {
                        let byte = registers.load8(NetworkConfiguration.address &+ octet)
                        address = address << 8 | UInt64(byte)
                    }
                }
                if features.contains(.networkMTU) {
                    mtu = registers.load16(NetworkConfiguration.mtu)
                }
                if generation == transport.configurationGeneration { break }
            }
            // Without an address of its own the card gets a local one (IEEE 802: bit 41).
            if address == 0 { address = 0x0200_0000_0001 }
            guard address >> 40 & 1 == 0 else {
                throw VirtioError(.misbehaved, "hardware address is a multicast address")
            }
            // §5.1.4.1: at least 68; what a buffer cannot hold is not used.
            guard mtu >= 68 else {
                throw VirtioError(.misbehaved, "MTU below 68")
            }
            self.address = address
            self.mtu = min(Int(mtu), NetworkTransmitter.longestFrame &- 14)
        }
    }
}
