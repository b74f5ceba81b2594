// The TSC's frequency, as measured by the interval timer.

import Testing

@testable import SwiftletMachine

@Suite struct TimestampMeasurementTests {
    @Test func readingsCloseTogetherAreTrusted() {
        var measurement = TimestampMeasurement(tsc: 1_000, count: 20)
        // The counter runs through 0, as it may.
        for step in 1...40 as ClosedRange<UInt64> {
            measurement.add(
                tsc: 1_000 + step * 5_000, count: 20 &- UInt16(truncatingIfNeeded: step * 30))
        }
        #expect(measurement.counts == 1_200)
        #expect(measurement.ticks == 200_000)
        #expect(!measurement.isDisturbed)
    }

    @Test func aProcessorTakenAwayIsNoticed() {
        var measurement = TimestampMeasurement(tsc: 0, count: 60_000)
        measurement.add(tsc: 5_000, count: 59_970)
        // A whole turn of the counter and a little: what it shows fits, the time does not.
        measurement.add(tsc: 5_000 + 65_536 * 167, count: 59_940)
        measurement.add(tsc: 10_000 + 65_536 * 167, count: 58_700)
        #expect(measurement.counts >= 1_200)
        #expect(measurement.isDisturbed)
    }
}
