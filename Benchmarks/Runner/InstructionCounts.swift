// What the counting plugin (Benchmarks/Plugin/count.c) has counted, read while the machine runs.

import Foundation

struct InstructionCounts {
    /// What was counted before a moment of the guest's life.
    struct Moment {
        let total: UInt64
        let repeats: UInt64
    }

    /// Instructions since the machine's start, firmware included.
    let total: UInt64
    /// Those of `total` that are steps of a `rep` string instruction.
    let repeats: UInt64
    /// Before the first `hlt`; nil: never idle.
    let firstHalt: Moment?
    /// Before the first execution of each mark; nil: not reached.
    let marks: [Moment?]
    /// How often each instruction was executed, by its address; empty without `profiling`.
    let profile: [UInt64: UInt64]

    // In 64-bit words, as in `struct counts`.
    private static let haltOffset = 4
    private static let marksOffset = 8
    private static let markLimit = 32
    private static let profileOffset = marksOffset + 3 * markLimit

    init(readingFrom file: URL) throws(NotMeasured) {
        guard let data = try? Data(contentsOf: file), data.count >= Self.profileOffset * 8 else {
            throw NotMeasured("the counting plugin has written nothing")
        }
        let words = data.bytes
        func word(_ index: Int) -> UInt64 {
            UInt64(
                littleEndian: words.unsafeLoadUnaligned(
                    fromByteOffset: index * 8, as: UInt64.self))
        }
        /// A `struct mark`: address, total (plus one), repeats.
        func moment(_ index: Int) -> Moment? {
            let total = word(index + 1)
            return total == 0 ? nil : Moment(total: total - 1, repeats: word(index + 2))
        }
        total = word(0)
        repeats = word(1)
        firstHalt = moment(Self.haltOffset)
        marks = (0..<Int(min(word(2), UInt64(Self.markLimit)))).map {
            moment(Self.marksOffset + 3 * $0)
        }
        var profile: [UInt64: UInt64] = [:]
        var slot = Self.profileOffset
        while slot + 2 <= data.count / 8 {
            if word(slot) != 0 { profile[word(slot)] = word(slot + 1) }
            slot += 2
        }
        self.profile = profile
    }
}

/// The console's text with the instruction counts of each octet, from QEMU's log: the plugin's
/// line `out TOTAL REPEATS` comes before each port output, QEMU's `serial_write` after it.
struct CountedConsole {
    struct Octet {
        let value: UInt8
        let moment: InstructionCounts.Moment
    }

    private(set) var octets: [Octet] = []

    init(parsing log: String, from start: UInt64) {
        var total: UInt64 = 0
        var repeats: UInt64 = 0
        var divisorLatch = false
        for line in log.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 3, words[0] == "out" {
                total = UInt64(words[1]) ?? 0
                repeats = UInt64(words[2]) ?? 0
            } else if words.count == 6, words[0] == "serial_write" {
                let value = UInt8(words[5].dropFirst(2), radix: 16) ?? 0
                // Register 3's bit 7 turns register 0 into the divisor (16550 data sheet).
                if words[3] == "0x03" { divisorLatch = value & 0x80 != 0 }
                guard words[3] == "0x00", !divisorLatch, total >= start else { continue }
                octets.append(
                    Octet(
                        value: value,
                        moment: InstructionCounts.Moment(total: total, repeats: repeats)))
            }
        }
    }
}
