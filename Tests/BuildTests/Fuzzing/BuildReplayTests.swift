// What fuzzing has found, and where it began, run again.

import SwiftletTestSupport
import Testing

@Suite struct BuildReplayTests {
    @Test(
        arguments: [
            CommandLineFuzzing.self, FileArchiveFuzzing.self, ELFFuzzing.self, ProgramFuzzing.self,
        ] as [any FuzzTarget.Type])
    func seedsAndCorpus(target: any FuzzTarget.Type) {
        #expect(target.replay() > 0, "\(target.name) has no corpus")
    }

    @Test("Programs with octets changed, and random code, are rewritten well or refused")
    func mutatedPrograms() {
        var random = SeededRandom(seed: 2026)
        let seeds = ProgramFuzzing.seeds + ProgramFuzzing.corpus
        for _ in 0..<1500 {
            var octets = seeds[Int(random.below(UInt64(seeds.count)))]
            for _ in 0...random.below(6) {
                // Headers and code are in the beginning of a page.
                let page = Int(random.below(3)) * 0x1000
                let at = page + Int(random.below(random.chance(0.5) ? 64 : 0x300))
                if at < octets.count { octets[at] = UInt8(truncatingIfNeeded: random.next()) }
            }
            ProgramFuzzing.run(octets.span.bytes)
        }
        for _ in 0..<500 {
            // Every few octets begin a system call.
            var code: [UInt8] = []
            while code.count < 200 {
                code +=
                    random.bytes(Int(random.below(9))) + (random.chance(0.7) ? [0x0F, 0x05] : [])
            }
            ProgramFuzzing.run(code.span.bytes)
        }
    }
}
