// Entropy device (§5.4): random octets from the host.

import SwiftletMachine
import SwiftletMemory

/// A source of randomness.
public struct VirtioEntropy: ~Copyable {
    private static var bufferSize: Int { 256 }

    private var queue: VirtioQueue
    /// The one buffer's descriptor.
    private let descriptor: UInt16
    private let transport: VirtioTransport

    /// - Throws: why the device cannot be used.
    public init(transport: VirtioTransport) throws(VirtioError) {
        guard transport.deviceType == .entropy else {
            throw VirtioError(.absent, "not an entropy device")
        }
        let features = try transport.negotiate(required: [], wanted: [])
        do throws(VirtioError) {
            var queue = try VirtioQueue(
                0, of: transport, maximumSize: 1, features: features,
                trailingBytes: Self.bufferSize)
            guard let descriptor = queue.takeDescriptor() else {
                throw VirtioError(.misbehaved, "entropy queue has no descriptor")
            }
            self.queue = queue
            self.descriptor = descriptor
        } catch {
            transport.fail()
            throw error
        }
        self.transport = transport
        transport.start()
    }

    /// The device lets go of the buffer before it is freed.
    deinit {
        try? transport.reset()
    }

    /// Fills `bytes` with random octets from the device.
    ///
    /// - Parameter wait: called again and again while the device has not answered; false gives up.
    ///   It may pause the processor, and should give up only after seconds: hosts can be slow.
    /// - Throws: `.misbehaved` if the device broke the rules or did not answer in time. What is in
    ///   `bytes` must not be used then.
    public mutating func fill(
        _ bytes: inout MutableRawSpan, wait: () -> Bool
    ) throws(VirtioError) {
        var filled = 0
        while filled < bytes.byteCount {
            let count = min(bytes.byteCount &- filled, Self.bufferSize)
            // After a wait that was given up the device has the buffer still.
            if queue.owns(descriptor) {
                queue.describe(
                    descriptor, buffer: DirectMap.physicalAddress(of: queue.trailing),
                    length: UInt32(count), deviceWrites: true)
                queue.offer(descriptor)
                queue.kick()
            }
            let length = try awaitUsed(wait)
            for index in 0..<min(length, count) {
                // Below `count`, which is at most the buffer's and the rest of `bytes`.
                bytes.storeBytes(
                    of: queue.trailing.load(fromByteOffset: index, as: UInt8.self),
                    toByteOffset: filled &+ index, as: UInt8.self)
            }
            // Randomness is used once.
            queue.trailing.initializeMemory(as: UInt8.self, repeating: 0, count: Self.bufferSize)
            filled &+= min(length, count)
        }
    }

    /// How many octets the device has written.
    private mutating func awaitUsed(_ wait: () -> Bool) throws(VirtioError) -> Int {
        while true {
            if let used = queue.poll() {
                // §5.4.6.2: one or more.
                guard used.length > 0 else {
                    queue.fail("entropy device gave nothing")
                    continue
                }
                return Int(used.length)
            }
            if let failure = queue.failure { throw failure }
            guard wait() else {
                throw VirtioError(.misbehaved, "entropy device does not answer")
            }
        }
    }
}
