// Console device (§5.3): one port, characters in both directions.

import SwiftletMachine
import SwiftletMemory

/// A console.
public struct VirtioConsole: ~Copyable {
    /// Buffers in each direction; with their queue they fill one page frame.
    private static var bufferCount: UInt16 { 4 }
    private static var bufferSize: Int { 512 }

    private var input: SplitQueue
    private var output: SplitQueue
    private let transport: VirtioTransport

    /// - Throws: why the device cannot be used.
    public init(transport: VirtioTransport) throws(VirtioError) {
        guard transport.deviceType == .console else {
            throw VirtioError(.absent, "not a console device")
        }
        let features = try transport.negotiate(required: [], wanted: [.eventIndex])
        do throws(VirtioError) {
            // Queues 0 and 1 are port 0's receiveq and transmitq (§5.3.2).
            let trailing = Int(Self.bufferCount) &* Self.bufferSize
            var input = try SplitQueue(
                0, of: transport, maximumSize: Self.bufferCount, features: features,
                trailingBytes: trailing)
            let output = try SplitQueue(
                1, of: transport, maximumSize: Self.bufferCount, features: features,
                trailingBytes: trailing)
            while let descriptor = input.takeDescriptor() {
                let buffer = input.trailing + Int(descriptor) &* Self.bufferSize
                input.describe(
                    descriptor, buffer: DirectMap.physicalAddress(of: buffer),
                    length: UInt32(Self.bufferSize), deviceWrites: true)
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

    /// Hands what was typed to `body`, buffer by buffer.
    ///
    /// - Returns: how many octets were handed over.
    public mutating func read(_ body: (RawSpan) -> Void) -> Int {
        var count = 0
        while let used = input.poll() {
            let buffer = input.trailing + Int(used.descriptor) &* Self.bufferSize
            // `poll` has checked that the length is at most the buffer's.
            body(UnsafeRawBufferPointer(start: buffer, count: Int(used.length)).bytes)
            count &+= Int(used.length)
            input.offer(used.descriptor)
        }
        input.kick()
        return count
    }

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
