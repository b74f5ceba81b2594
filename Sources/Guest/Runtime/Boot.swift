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
            Power.exitPort = exitPort()
        }

        /// `exit.port=0x501`: hexadecimal digits after the prefix, 0 if absent.
        private static func exitPort() -> UInt16 {
            let key: StaticString = "exit.port=0x"
            let keyCount = key.utf8CodeUnitCount
            var start = 0
            while start + keyCount <= line.count {
                var matched = 0
                while matched < keyCount, line[start + matched] == key.utf8Start[matched] {
                    matched += 1
                }
                if matched == keyCount, start == 0 || line[start - 1] == 0x20 {
                    return hexadecimal(from: start + keyCount)
                }
                start += 1
            }
            return 0
        }

        private static func hexadecimal(from start: Int) -> UInt16 {
            var value: UInt16 = 0
            var index = start
            while index < line.count {
                switch line[index] {
                case 0x30...0x39: value = value << 4 | UInt16(line[index] - 0x30)
                case 0x61...0x66: value = value << 4 | UInt16(line[index] - 0x57)
                default: return value
                }
                index += 1
            }
            return value
        }
    }
#endif
