// What the application was started with, and how it ends early.

import SwiftletBootProtocol
import SwiftletRuntime

#if hasFeature(Embedded)
    /// The running application: arguments, environment, end.
    public enum Application {
        /// The arguments after `--` of `swiftlet run`, without a program name.
        public static var arguments: [String] {
            let line = Boot.commandLine.bytes
            var words = CommandLineWords()
            var result: [String] = []
            while let word = words.next(in: line) {
                if case .argument(let range) = word { result.append(decoded(line, range)) }
            }
            return result
        }

        /// The value of a variable given with `swiftlet run -e NAME=VALUE`; nil if it is not set.
        public static func environment(_ name: StaticString) -> String? {
            let line = Boot.commandLine.bytes
            let prefix = CommandLineKey.environmentPrefix
            var words = CommandLineWords()
            while let word = words.next(in: line) {
                guard case .setting(let key, let value) = word, line.hasPrefix(prefix, in: key)
                else { continue }
                let start = key.lowerBound + prefix.utf8CodeUnitCount
                if line.equals(name, in: start..<key.upperBound) { return decoded(line, value) }
            }
            return nil
        }

        /// Ends the machine. The host sees the low eight bits of `code` as the exit status.
        public static func exit(code: Int32) -> Never {
            Exit.exit(code: code)
        }

        private static func decoded(_ line: RawSpan, _ range: Range<Int>) -> String {
            var bytes: [UInt8] = []
            PercentEncoding.decode(line, in: range) { bytes.append($0) }
            return String(decoding: bytes, as: UTF8.self)
        }
    }
#endif
