// Console device (virtio 1.2 §5.3): one port, its receive queue fed from a descriptor, its transmit
// queue written to the guest's console.
//
// Input is read into the guest's buffers and nowhere else: where the driver offers none, nothing is
// read, and whoever writes has to wait. Output mostly takes the console call (`MonitorCall`), which
// is there from a guest's first instruction to its fault report, and is shown when it is made.

import Glibc

/// A console with input.
struct ConsoleDevice {
    private static let type: UInt32 = 3
    private static let queueSize: UInt16 = 64
    private static let receiveQueue = 0
    private static let transmitQueue = 1
    /// Octets in each direction after which the rest waits for the next turn.
    static let budget = 256 << 10

    // No size (F_SIZE): there is no window. No emergency writes: the console call is one.
    private(set) var registers = VirtioRegisters(
        deviceType: type, features: 0, configuration: [], queueSizes: [queueSize, queueSize])
    /// Where input comes from: a descriptor that does not block.
    let file: Int32
    /// Where output goes: the console.
    private let output: Int32
    /// Nothing more comes from there.
    private(set) var hasEnded = false
    /// How much of the oldest buffer to be transmitted is written.
    private(set) var written = 0
    private let vectors = UnsafeMutablePointer<iovec>.allocate(capacity: DeviceQueue.longestChain)

    /// - Parameters:
    ///   - input: is made not to block.
    ///   - output: another place than the console, for tests.
    init(input file: Int32, output: Int32 = STDOUT_FILENO) {
        self.file = file
        self.output = output
        _ = fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK)
    }

    /// Gives back what the device allocated; it may not be used afterwards.
    func release() { vectors.deallocate() }

    mutating func store(_ value: UInt64, at offset: UInt64, size: Int, _ memory: GuestMemory) {
        registers.store(value, at: offset, size: size, memory)
        if !registers.isRunning { written = 0 }
    }

    /// The driver broke a rule.
    mutating func fail() {
        registers.fail()
        written = 0
    }

    /// To be polled for input; -1 if the guest has no buffers for it, or if there will be none.
    func polled(_ memory: GuestMemory) -> Int32 {
        guard registers.isRunning, !hasEnded,
            let pending = try? registers.queues[Self.receiveQueue].pendingCount(memory),
            pending > 0
        else { return -1 }
        return file
    }

    /// Writes what the driver wants written, and reads what has come. True if the driver wants to
    /// hear of it, or if more is left to be written: then nobody is to wait.
    mutating func process(_ memory: GuestMemory) throws(QueueViolation) -> Bool {
        guard registers.isRunning else { return false }
        let isMoreLeft = try transmit(memory)
        try receive(memory)
        // Each must be asked: that is what it is told of.
        let isSent = registers.queues[Self.transmitQueue].takeSignal(memory)
        let hasCome = registers.queues[Self.receiveQueue].takeSignal(memory)
        return isSent || hasCome || isMoreLeft
    }

    /// - Returns: whether there is more than the budget.
    private mutating func transmit(_ memory: GuestMemory) throws(QueueViolation) -> Bool {
        var left = Self.budget
        // Empty buffers are counted too.
        var buffers = try registers.queues[Self.transmitQueue].pendingCount(memory)
        while buffers > 0, left > 0,
            let chain = try registers.queues[Self.transmitQueue].take(memory, vectors)
        {
            buffers -= 1
            guard chain.writableCount == 0 else {
                throw QueueViolation("a writable buffer for the console to write out")
            }
            var skipped = 0
            for index in 0..<chain.readableCount where left > 0 {
                let length = vectors[index].iov_len
                let start = min(max(written - skipped, 0), length)
                let count = min(length - start, left)
                skipped += length
                guard count > 0 else { continue }
                Console.write(
                    UnsafeRawBufferPointer(start: vectors[index].iov_base + start, count: count),
                    to: output)
                written += count
                left -= count
            }
            guard written >= chain.readableOctets else {
                registers.queues[Self.transmitQueue].putBack(1)
                break
            }
            written = 0
            registers.queues[Self.transmitQueue].use(chain, written: 0, memory)
        }
        registers.queues[Self.transmitQueue].setNotification(true, memory)
        return try registers.queues[Self.transmitQueue].pendingCount(memory) > 0
    }

    private mutating func receive(_ memory: GuestMemory) throws(QueueViolation) {
        var left = Self.budget
        while !hasEnded, left > 0,
            let chain = try registers.queues[Self.receiveQueue].take(memory, vectors)
        {
            guard chain.readableCount == 0, chain.writableOctets > 0 else {
                throw QueueViolation("a receive buffer that holds nothing")
            }
            let count = fillFirst(chain, left)
            guard count > 0 else {
                registers.queues[Self.receiveQueue].putBack(1)
                break
            }
            left -= count
            registers.queues[Self.receiveQueue].use(chain, written: count, memory)
        }
        registers.queues[Self.receiveQueue].setNotification(true, memory)
    }

    /// Reads into a buffer's first segment, which may be all of it: input comes as it likes.
    ///
    /// - Returns: how much; 0 if nothing has come.
    private mutating func fillFirst(_ chain: DescriptorChain, _ most: Int) -> Int {
        var index = 0
        while vectors[index].iov_len == 0 { index += 1 }
        while true {
            let count = read(file, vectors[index].iov_base, min(vectors[index].iov_len, most))
            if count > 0 { return count }
            if count < 0, errno == EINTR { continue }
            if count == 0 || errno != EAGAIN { hasEnded = true }
            return 0
        }
    }
}
