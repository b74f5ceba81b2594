// Structured logging to the console: one line an event, in logfmt, as log collectors read it.

import SwiftletMachine
import SwiftletRuntime

#if hasFeature(Embedded)
    /// Writes events with a level, a message and named values. The shape is swift-log's, which
    /// does not compile in Embedded Swift.
    ///
    ///     let logger = Logger(label: "shop")
    ///     logger.info("order accepted", ["id": "42"])
    ///     // time=2026-11-21T09:30:00Z level=info label=shop message="order accepted" id=42
    public struct Logger: Sendable {
        /// How much an event matters, as swift-log orders it.
        public enum Level: UInt8, Comparable, Sendable {
            case trace, debug, info, notice, warning, error, critical

            public static func < (left: Level, right: Level) -> Bool {
                left.rawValue < right.rawValue
            }

            var name: StaticString {
                switch self {
                case .trace: "trace"
                case .debug: "debug"
                case .info: "info"
                case .notice: "notice"
                case .warning: "warning"
                case .error: "error"
                case .critical: "critical"
                }
            }
        }

        /// Who speaks.
        public let label: StaticString
        /// Events below this level are not written, and their messages not even made.
        public var level: Level

        public init(label: StaticString, level: Level = .info) {
            self.label = label
            self.level = level
        }

        /// Writes one event, if its level is enabled.
        ///
        /// - Parameter values: written as `key=value`, in this order.
        public func log(
            _ level: Level, _ message: @autoclosure () -> String,
            _ values: @autoclosure () -> KeyValuePairs<StaticString, String> = [:]
        ) {
            guard level >= self.level else { return }
            var line: [UInt8] = []
            line.append("time=")
            line.append(timestamp: Clock.wallTime / 1_000_000_000)
            line.append(" level=")
            line.append(level.name)
            line.append(" label=")
            line.append(label)
            line.append(" message=")
            line.append(quoted: message())
            for (key, value) in values() {
                line.append(0x20)
                line.append(key)
                line.append(UInt8(ascii: "="))
                line.append(quoted: value)
            }
            line.append(0x0A)
            line.withUnsafeBytes { StandardOutput.write($0) }
        }

        public func debug(
            _ message: @autoclosure () -> String,
            _ values: @autoclosure () -> KeyValuePairs<StaticString, String> = [:]
        ) { log(.debug, message(), values()) }

        public func info(
            _ message: @autoclosure () -> String,
            _ values: @autoclosure () -> KeyValuePairs<StaticString, String> = [:]
        ) { log(.info, message(), values()) }

        public func warning(
            _ message: @autoclosure () -> String,
            _ values: @autoclosure () -> KeyValuePairs<StaticString, String> = [:]
        ) { log(.warning, message(), values()) }

        public func error(
            _ message: @autoclosure () -> String,
            _ values: @autoclosure () -> KeyValuePairs<StaticString, String> = [:]
        ) { log(.error, message(), values()) }
    }

    extension [UInt8] {
        fileprivate mutating func append(_ text: StaticString) {
            append(
                contentsOf: UnsafeBufferPointer(
                    start: text.utf8Start, count: text.utf8CodeUnitCount))
        }

        /// A value as logfmt wants it: bare, or in quotes with what would break the line escaped.
        fileprivate mutating func append(quoted text: String) {
            let needsQuotes =
                text.utf8.isEmpty
                || text.utf8.contains { $0 <= 0x20 || $0 == 0x22 || $0 == 0x3D || $0 == 0x7F }
            guard needsQuotes else { return append(contentsOf: text.utf8) }
            append(0x22)
            for byte in text.utf8 {
                switch byte {
                case 0x22, 0x5C:
                    append(0x5C)
                    append(byte)
                case 0x0A:
                    append("\\n")
                case 0x00..<0x20, 0x7F:
                    append("\\x")
                    append(hexadecimalDigit: byte >> 4)
                    append(hexadecimalDigit: byte & 0xF)
                default:
                    append(byte)
                }
            }
            append(0x22)
        }

        private mutating func append(hexadecimalDigit digit: UInt8) {
            append(digit < 10 ? 0x30 + digit : 0x57 + digit)
        }

        /// RFC 3339, in UTC.
        fileprivate mutating func append(timestamp seconds: UInt64) {
            // Civil date from days since 1970, in years that begin in March.
            let days = seconds / 86400 + 719_468
            let era = days / 146_097
            let dayOfEra = days - era * 146_097
            let yearOfEra =
                (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
            let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
            let monthFromMarch = (5 * dayOfYear + 2) / 153
            let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
            let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
            append(number: year, digits: 4)
            append(UInt8(ascii: "-"))
            append(number: month, digits: 2)
            append(UInt8(ascii: "-"))
            append(number: dayOfYear - (153 * monthFromMarch + 2) / 5 + 1, digits: 2)
            append(UInt8(ascii: "T"))
            append(number: seconds / 3600 % 24, digits: 2)
            append(UInt8(ascii: ":"))
            append(number: seconds / 60 % 60, digits: 2)
            append(UInt8(ascii: ":"))
            append(number: seconds % 60, digits: 2)
            append(UInt8(ascii: "Z"))
        }

        private mutating func append(number: UInt64, digits: Int) {
            var divisor: UInt64 = 1
            for _ in 1..<digits { divisor *= 10 }
            while divisor > 0 {
                append(0x30 + UInt8(truncatingIfNeeded: number / divisor % 10))
                divisor /= 10
            }
        }
    }
#endif
