// What the command line says, kept for the application: arguments, environment, settings.

import SwiftletBootProtocol
import SwiftletMachine
import SwiftletMemory

#if hasFeature(Embedded)
    /// The kernel command line, copied out of the monitor's memory.
    public enum Boot {
        nonisolated(unsafe) private static var line = UnsafeRawBufferPointer(start: nil, count: 0)

        /// The whole line. Valid for the life of the machine.
        public static var commandLine: UnsafeRawBufferPointer { line }

        static func readCommandLine() {
            line = Platform.startInfo.copyCommandLine { Heap.allocate($0) }
            let bytes = line.bytes
            if let range = CommandLineWords.value(of: CommandLineKey.exitPort, in: bytes),
                let port = parseNumber(bytes, in: range)
            {
                Power.exitPort = UInt16(truncatingIfNeeded: port)
            }
        }
    }
#endif
