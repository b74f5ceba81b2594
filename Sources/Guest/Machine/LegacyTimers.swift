// The PC's own clocks: the 8254 interval timer, to measure the TSC by, and the real-time clock.

import CSwiftletMachine

/// Readings of the TSC beside a counter of 16 bits that runs down, one close upon the other.
struct TimestampMeasurement {
    private let first: (tsc: UInt64, count: UInt16)
    private var last: (tsc: UInt64, count: UInt16)
    private var shortest = UInt64.max
    private var longest: UInt64 = 0

    init(tsc: UInt64, count: UInt16) {
        first = (tsc, count)
        last = first
    }

    mutating func add(tsc: UInt64, count: UInt16) {
        let gap = tsc &- last.tsc
        shortest = min(shortest, gap)
        longest = max(longest, gap)
        last = (tsc, count)
    }

    /// From the first reading to the last: of the TSC, and of the counter.
    var ticks: UInt64 { last.tsc &- first.tsc }
    var counts: UInt16 { first.count &- last.count }

    /// True if a reading came so late that the counter may have run through meanwhile, which takes 55
    /// milliseconds, or that its two halves do not belong together.
    var isDisturbed: Bool { longest / 64 > shortest }
}

#if hasFeature(Embedded)
    /// The legacy interval timer (8254), only to measure the TSC by.
    enum IntervalTimer {
        private static let hertz: UInt64 = 1_193_182
        private static let channel2: UInt16 = 0x42
        private static let command: UInt16 = 0x43
        private static let gate: UInt16 = 0x61

        /// Counts TSC ticks over at least a millisecond of channel 2; again if the host took the
        /// processor away meanwhile.
        static func measureTimestampFrequency() -> UInt64 {
            swiftlet_out8(gate, swiftlet_in8(gate) & ~2 | 1)  // gate on, speaker off
            var tries = 0
            while true {
                let measurement = measure()
                tries += 1
                if !measurement.isDisturbed || tries == 50 {
                    return measurement.ticks &* hertz / UInt64(measurement.counts)
                }
            }
        }

        private static func measure() -> TimestampMeasurement {
            swiftlet_out8(command, 0b1011_0000)  // channel 2, both octets, mode 0
            swiftlet_out8(channel2, 0xFF)
            swiftlet_out8(channel2, 0xFF)
            let first = sample()
            // The counter loads with a delay after the second octet: start where it moves.
            var attempts = 0
            var second = sample()
            while second.count == first.count, attempts < 1000 {
                second = sample()
                attempts += 1
            }
            var measurement = TimestampMeasurement(tsc: second.tsc, count: second.count)
            while measurement.counts < 1200 {
                second = sample()
                measurement.add(tsc: second.tsc, count: second.count)
                attempts += 1
                // No timer answers: say so rather than invent a time.
                if attempts > 1_000_000 {
                    Faults.fail("no clock: neither the hypervisor nor a timer tells the time")
                }
            }
            return measurement
        }

        private static func sample() -> (tsc: UInt64, count: UInt16) {
            swiftlet_out8(command, 0b1000_0000)  // latch channel 2
            let tsc = swiftlet_rdtsc()
            let low = UInt16(swiftlet_in8(channel2))
            return (tsc, UInt16(swiftlet_in8(channel2)) << 8 | low)
        }
    }

    /// The CMOS real-time clock (MC146818), in UTC as monitors set it.
    enum RealTimeClock {
        /// Seconds since 1970-01-01 00:00 UTC, or 0 where there is no such clock.
        static func seconds() -> UInt64 {
            // An update in progress shows as two readings that differ.
            var previous = read()
            for _ in 0..<16 {
                let current = read()
                if current == previous { break }
                previous = current
            }
            return secondsSince1970(previous)
        }

        /// Second, minute, hour, day, month, year: an octet each, the second lowest.
        private static func read() -> UInt64 {
            UInt64(register(0)) | UInt64(register(2)) << 8 | UInt64(register(4)) << 16
                | UInt64(register(7)) << 24 | UInt64(register(8)) << 32
                | UInt64(register(9)) << 40
        }

        private static func secondsSince1970(_ packed: UInt64) -> UInt64 {
            let statusB = register(11)
            func field(_ index: UInt64) -> UInt64 {
                let octet = packed >> (index * 8) & 0xFF
                // Status B bit 2: binary; else two decimal digits.
                return statusB & 4 != 0 ? octet : (octet >> 4) * 10 + octet & 0xF
            }
            let month = field(4)
            let day = field(3)
            guard month >= 1, month <= 12, day >= 1, day <= 31 else { return 0 }
            // Days since 1970 in the Gregorian calendar, counting years from March.
            let year = 2000 + field(5) - (month <= 2 ? 1 : 0)
            let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
            let days = year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
            return ((days * 24 + field(2)) * 60 + field(1)) * 60 + field(0)
        }

        private static func register(_ index: UInt8) -> UInt8 {
            swiftlet_out8(0x70, 0x80 | index)
            return swiftlet_in8(0x71)
        }
    }
#endif
