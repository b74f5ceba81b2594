// Octets of literals, of the image's archive and of the command line, without pointers elsewhere.

import SwiftletBootProtocol
import SwiftletMachine
import SwiftletMemory
import SwiftletRuntime

#if hasFeature(Embedded)
    extension StaticString {
        func octet(_ index: Int) -> UInt8 { utf8Start[index] }
    }

    /// What the image and the host have for the program.
    enum ImageContents {
        /// The archive of packed files, once its table has been checked; empty if there is none.
        nonisolated(unsafe) private static let packed: UnsafeRawBufferPointer = {
            let packed = Platform.packedFiles
            let isSound = (try? FileArchive(packed.bytes)) != nil
            return isSound ? packed : UnsafeRawBufferPointer(start: nil, count: 0)
        }()

        /// The whole archive. It lives as long as the machine.
        static var archive: RawSpan {
            @_lifetime(immortal)
            get { _overrideLifetime(packed.bytes, copying: ()) }
        }

        static var commandLine: RawSpan {
            @_lifetime(immortal)
            get { _overrideLifetime(Boot.commandLine.bytes, copying: ()) }
        }

        /// The program's table, which the builder has filled in.
        static var program: RawSpan {
            @_lifetime(immortal)
            get { _overrideLifetime(ProgramMode.table.bytes, copying: ()) }
        }
    }

    extension RawSpan {
        /// The octet at `offset`; bounds are checked.
        func byte(_ offset: Int) -> UInt8 {
            unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
        }

        func array(_ range: Range<Int>) -> [UInt8] {
            extracting(range).withUnsafeBytes { [UInt8]($0) }
        }
    }

    /// Random octets.
    func randomOctets(_ count: Int) -> [UInt8] {
        var octets = [UInt8](repeating: 0, count: count)
        octets.withUnsafeMutableBytes { Randomness.fill($0) }
        return octets
    }

    /// Writes octets to the console. The built-in monitor shows no pages of programs, so that there they
    /// go by way of the heap.
    func writeToConsole(_ octets: RawSpan) {
        guard BuiltInMonitor.isPresent else {
            return octets.withUnsafeBytes { StandardOutput.write($0) }
        }
        var start = 0
        while start < octets.byteCount {
            let end = min(start + PageFrames.size, octets.byteCount)
            octets.array(start..<end).withUnsafeBytes { StandardOutput.write($0) }
            start = end
        }
    }
#endif
