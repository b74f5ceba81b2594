// Entropy device (virtio 1.2 §5.4): random octets from the host's kernel.

import CSwiftletKVM
import Glibc

/// A source of randomness.
struct EntropyDevice {
    private static let type: UInt32 = 4
    private static let queueSize: UInt16 = 8
    /// Octets given in one turn; the rest comes with the next.
    private static let budget = 4096

    var registers = VirtioRegisters(
        deviceType: type, features: 0, configuration: [], queueSizes: [queueSize])
    private let vectors = UnsafeMutablePointer<iovec>.allocate(capacity: DeviceQueue.longestChain)

    /// Gives back what the device allocated; it may not be used afterwards.
    func release() { vectors.deallocate() }

    /// Fills what the driver offers. True if the driver wants to hear of it.
    mutating func process(_ memory: GuestMemory) throws(QueueViolation) -> Bool {
        guard registers.isRunning else { return false }
        var left = Self.budget
        while left > 0, let chain = try registers.queues[0].take(memory, vectors) {
            guard chain.readableCount == 0 else {
                throw QueueViolation("a readable buffer for the entropy device")
            }
            var written = 0
            for index in 0..<chain.writableCount where left > 0 {
                let count = min(vectors[index].iov_len, left, 256)
                let given = swiftlet_get_random(vectors[index].iov_base, count)
                guard given > 0 else { break }
                written += given
                left -= given
                // Written octets are the first ones of the buffer, without a gap.
                if given < vectors[index].iov_len { break }
            }
            if written == 0 { left -= 1 }
            registers.queues[0].use(chain, written: written, memory)
        }
        return registers.queues[0].takeSignal(memory)
    }
}
