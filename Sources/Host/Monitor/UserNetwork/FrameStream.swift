// The user network's end of the socket to the monitor: many frames a read, many frames a write, each
// behind its length in four octets (StreamLink).

import CSwiftletKVM
import Glibc

/// Frames from and to the guest. Nothing here waits.
final class FrameStream {
    private static let longestFrame = 65536 + 18
    private static let lengthSize = 4
    private static let capacity = 256 << 10

    let file: Int32
    private let input = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    private var inputStart = 0
    private var inputEnd = 0
    private let output = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    private var outputStart = 0
    private var outputEnd = 0
    /// The monitor has gone, or broke the protocol.
    private(set) var isClosed = false

    /// - Parameter file: a connected, non-blocking stream socket.
    init(_ file: Int32) {
        self.file = file
    }

    deinit {
        input.deallocate()
        output.deallocate()
    }

    /// Whether the socket did not take everything.
    var hasOutput: Bool { outputEnd > outputStart }

    /// Reads what has come; false if nothing has. Frames that were given are gone after this.
    func fill() -> Bool {
        if inputStart > 0 {
            memmove(input, input + inputStart, inputEnd - inputStart)
            (inputStart, inputEnd) = (0, inputEnd - inputStart)
        }
        let count = read(file, input + inputEnd, Self.capacity - inputEnd)
        if count > 0 {
            inputEnd += count
            return true
        }
        if count == 0 || (errno != EAGAIN && errno != EINTR) { isClosed = true }
        return false
    }

    /// The next whole frame of what was read.
    func next() -> UnsafeRawBufferPointer? {
        let available = inputEnd - inputStart
        guard available >= Self.lengthSize else { return nil }
        let length = Int(
            UInt32(bigEndian: (input + inputStart).loadUnaligned(as: UInt32.self)))
        guard length <= Self.longestFrame else {
            isClosed = true
            return nil
        }
        guard available - Self.lengthSize >= length else { return nil }
        defer { inputStart += Self.lengthSize + length }
        return UnsafeRawBufferPointer(start: input + inputStart + Self.lengthSize, count: length)
    }

    /// Whether a frame of so many octets would be taken now.
    func hasRoom(_ length: Int) -> Bool {
        Self.capacity - outputEnd >= Self.lengthSize + length
    }

    /// Where to write a frame of `length` octets, which is sent by the next `flush`; nil if there is
    /// no room before one.
    func append(_ length: Int) -> UnsafeMutableRawPointer? {
        guard hasRoom(length) else { return nil }
        let place = output + outputEnd
        place.storeBytes(of: UInt32(length).bigEndian, as: UInt32.self)
        outputEnd += Self.lengthSize + length
        return place + Self.lengthSize
    }

    /// Sends what was appended, as far as the socket takes it.
    func flush() {
        while hasOutput, !isClosed {
            let count = write(file, output + outputStart, outputEnd - outputStart)
            if count > 0 {
                outputStart += count
            } else if errno == EAGAIN {
                break
            } else if errno != EINTR {
                isClosed = true
            }
        }
        if outputStart == outputEnd {
            (outputStart, outputEnd) = (0, 0)
        } else if outputStart > Self.capacity / 2 {
            memmove(output, output + outputStart, outputEnd - outputStart)
            (outputStart, outputEnd) = (0, outputEnd - outputStart)
        }
    }
}
