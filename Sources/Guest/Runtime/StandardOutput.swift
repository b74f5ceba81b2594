// Standard output: a line at a time to the console, and the C functions that write to it.

import SwiftletMachine

#if hasFeature(Embedded)
    /// What `print` writes to. Held back until a line ends or the machine waits or stops.
    public enum StandardOutput {
        nonisolated(unsafe) private static var buffer: InlineArray<256, UInt8> =
            .init(repeating: 0)
        nonisolated(unsafe) private static var count = 0

        public static func write(_ byte: UInt8) {
            buffer[count] = byte
            count += 1
            if byte == 0x0A || count == 256 { flush() }
        }

        public static func write(_ bytes: UnsafeRawBufferPointer) {
            flush()
            Console.write(bytes)
        }

        /// Writes octets as they are, behind what was printed before.
        public static func write(_ octets: RawSpan) {
            octets.withUnsafeBytes { write($0) }
        }

        public static func flush() {
            guard count > 0 else { return }
            withUnsafeBytes(of: &buffer) {
                Console.write(UnsafeRawBufferPointer(rebasing: $0[..<count]))
            }
            count = 0
        }
    }

    @_cdecl("putchar")
    func cPutchar(_ character: Int32) -> Int32 {
        StandardOutput.write(UInt8(truncatingIfNeeded: character))
        return character
    }

    @_cdecl("puts")
    func cPuts(_ text: UnsafePointer<CChar>) -> Int32 {
        _ = cFputs(text, nil)
        StandardOutput.write(0x0A)
        return 0
    }

    @_cdecl("fputs")
    func cFputs(_ text: UnsafePointer<CChar>, _ stream: UnsafeRawPointer?) -> Int32 {
        var index = 0
        while text[index] != 0 {
            StandardOutput.write(UInt8(bitPattern: text[index]))
            index += 1
        }
        return 0
    }

    @_cdecl("fflush")
    func cFflush(_ stream: UnsafeRawPointer?) -> Int32 {
        StandardOutput.flush()
        return 0
    }

    // The concurrency runtime formats its fatal messages with these two. The format itself says
    // what is wrong; its arguments are left out.
    @_cdecl("vprintf")
    func cVprintf(_ format: UnsafePointer<CChar>, _ arguments: UnsafeRawPointer?) -> Int32 {
        cFputs(format, nil)
    }

    @_cdecl("vsnprintf")
    func cVsnprintf(
        _ target: UnsafeMutablePointer<CChar>?, _ size: Int, _ format: UnsafePointer<CChar>,
        _ arguments: UnsafeRawPointer?
    ) -> Int32 {
        var length = 0
        while format[length] != 0 {
            if let target, length + 1 < size { target[length] = format[length] }
            length += 1
        }
        if let target, size > 0 { target[min(length, size - 1)] = 0 }
        return Int32(truncatingIfNeeded: length)
    }

    @_cdecl("strncpy")
    func cStrncpy(
        _ target: UnsafeMutablePointer<CChar>, _ source: UnsafePointer<CChar>, _ size: Int
    ) -> UnsafeMutablePointer<CChar> {
        var index = 0
        while index < size, source[index] != 0 {
            target[index] = source[index]
            index += 1
        }
        while index < size {
            target[index] = 0
            index += 1
        }
        return target
    }
#endif
