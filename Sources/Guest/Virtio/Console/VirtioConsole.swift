// Console device (§5.3): one port, characters in both directions.

import SwiftletMachine
import SwiftletMemory

/// A console.
public struct VirtioConsole: ~Copyable {
    /// Buffers in each direction.
    private static var bufferCount: UInt16 { 4 }
    /// Of output; with their queue they fill one page frame.
    private static var bufferSize: Int { 512 }
    /// Of input, which comes from pipes more often than from keys.
    private static var inputSize: Int { 4096 }

    private var input: VirtioQueue
    /// The buffer that `read` shows, and how much of it was taken.
    private var shown: UsedBuffer?
    private var taken = 0
    private var output: VirtioQueue
    private let transport: VirtioTransport

    /// - Throws: why the device cannot be used.
    public init(transport: VirtioTransport) throws(VirtioError) {
        guard transport.deviceType == .console else {
            throw VirtioError(.absent, "not a console device")
        }
        let features = try transport.negotiate(required: [], wanted: [])
        do throws(VirtioError) {
            // Queues 0 and 1 are port 0's receiveq and transmitq (§5.3.2).
            var input = try VirtioQueue(
                0, of: transport, maximumSize: Self.bufferCount, features: features,
                trailingBytes: Int(Self.bufferCount) &* Self.inputSize)
            let output = try VirtioQueue(
                1, of: transport, maximumSize: Self.bufferCount, features: features,
                trailingBytes: Int(Self.bufferCount) &* Self.bufferSize)
            while let descriptor = input.takeDescriptor() {
                let buffer = input.trailing + Int(descriptor) &* Self.inputSize
                input.describe(
                    descriptor, buffer: DirectMap.physicalAddress(of: buffer),
                    length: UInt32(Self.inputSize), deviceWrites: true)
                input.offer(descriptor)
            }
            self.input = input
            self.output = output
        } catch {
            transport.fail()
            throw error
        }
        self.transport = transport
        transport.start()
        input.kick()
    }

    /// The device lets go of the buffers before they are freed.
    deinit {
        try? transport.reset()
    }

    /// Copies as much of `bytes` as there is room for, and tells the device.
    ///
    /// - Returns: how many octets were taken; the rest finds room when the device has written.
    public mutating func write(_ bytes: RawSpan) -> Int {
        while let used = output.poll() {
            output.freeDescriptor(used.descriptor)
        }
        var written = 0
        while written < bytes.byteCount, let descriptor = output.takeDescriptor() {
            let count = min(bytes.byteCount &- written, Self.bufferSize)
            // Descriptor n has buffer n, of `bufferSize` octets.
            let buffer = output.trailing + Int(descriptor) &* Self.bufferSize
            for index in 0..<count {
                let octet = bytes.unsafeLoad(fromByteOffset: written &+ index, as: UInt8.self)
                buffer.storeBytes(of: octet, toByteOffset: index, as: UInt8.self)
            }
            output.describe(
                descriptor, buffer: DirectMap.physicalAddress(of: buffer), length: UInt32(count),
                deviceWrites: false)
            output.offer(descriptor)
            written &+= count
        }
        output.kick()
        return written
    }

    /// Waits until the device has written everything, as before power-off.
    ///
    /// - Parameter wait: called again and again until then; false gives up.
    /// - Returns: whether everything was written.
    public mutating func drain(wait: () -> Bool) -> Bool {
        while output.outstandingCount > 0 {
            if let used = output.poll() {
                output.freeDescriptor(used.descriptor)
            } else if output.failure != nil || !wait() {
                return false
            }
        }
        return true
    }

    /// Shows `body` the oldest octets that have come and were not taken: a buffer, or what is left
    /// of one. A buffer whose octets are all taken goes back to the device with the next `flush`.
    ///
    /// - Parameter body: gives how many octets it takes, from the first on.
    /// - Returns: false if there was nothing to show.
    public mutating func read(_ body: (RawSpan) -> Int) -> Bool {
        if shown == nil {
            shown = input.poll()
            taken = 0
        }
        guard let used = shown else { return false }
        let buffer = input.trailing + Int(used.descriptor) &* Self.inputSize
        // `poll` has checked that the length is at most the buffer's.
        let rest = UnsafeRawBufferPointer(start: buffer + taken, count: Int(used.length) &- taken)
        taken &+= min(max(body(rest.bytes), 0), rest.count)
        if taken == Int(used.length) {
            input.offer(used.descriptor)
            shown = nil
        }
        return true
    }

    /// Gives buffers back for more input.
    public mutating func flush() { input.kick() }

    /// Wants an interrupt at the next input. Call before `hlt`, with interrupts off.
    ///
    /// - Returns: true if there is input already: do not wait.
    public mutating func armInterrupt() -> Bool {
        input.arm()
    }

    /// Wants no interrupts, and ends the one that woke.
    ///
    /// - Returns: true if the device says that its configuration or status has changed.
    @discardableResult
    public mutating func disarmInterrupt() -> Bool {
        input.disarm()
        return transport.acknowledgeInterrupt().contains(.configuration)
    }

    /// The first broken rule, if any.
    public var failure: VirtioError? { input.failure ?? output.failure }
}
