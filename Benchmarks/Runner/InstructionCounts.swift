// What the counting plugin (Benchmarks/Plugin/count.c) has counted, read while the machine runs.

import Foundation

struct InstructionCounts {
    /// Instructions since the machine's start, firmware included.
    let total: UInt64
    /// Those of `total` that are steps of a `rep` string instruction.
    let repeats: UInt64
    /// The total before the first `hlt`; nil: never idle.
    let firstHalt: UInt64?
    /// For each mark, the total before its first execution; nil: not reached.
    let marks: [UInt64?]

    init(readingFrom file: URL) throws(NotMeasured) {
        guard let data = try? Data(contentsOf: file), data.count >= 8 * 8 else {
            throw NotMeasured("the counting plugin has written nothing")
        }
        func word(_ index: Int) -> UInt64 {
            data.dropFirst(index * 8).prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        func first(_ word: UInt64) -> UInt64? { word == 0 ? nil : word - 1 }
        total = word(0)
        repeats = word(1)
        firstHalt = first(word(3))
        marks = (0..<Int(min(word(2), 32))).map { first(word(8 + 2 * $0 + 1)) }
    }
}

/// The console's text with the instruction counts of each octet, from QEMU's log: the plugin's
/// line `out TOTAL REPEATS` comes before each port output, QEMU's `serial_write` after it.
struct CountedConsole {
    struct Octet {
        let value: UInt8
        let total: UInt64
        let repeats: UInt64
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
                octets.append(Octet(value: value, total: total, repeats: repeats))
            }
        }
    }

    /// The first octet of the line that contains `text`.
    func line(containing text: String) -> Octet? {
        var start = octets.startIndex
        while start < octets.endIndex {
            let end = octets[start...].firstIndex { $0.value == 10 } ?? octets.endIndex
            let line = String(decoding: octets[start..<end].map(\.value), as: UTF8.self)
            if line.lowercased().contains(text) { return octets[start] }
            start = min(end + 1, octets.endIndex)
        }
        return nil
    }
}
