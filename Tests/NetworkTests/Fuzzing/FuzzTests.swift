// Random mutations of valid frames, hundreds of thousands of them: nothing traps, nothing grows.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

@Suite struct FuzzTests {
    private func mutate(_ frame: inout [UInt8], _ random: inout SeededRandom) {
        let choice = random.next()
        for _ in 0..<(choice & 3) + 1 {
            let place = Int(random.next() % UInt64(frame.count))
            let value = random.next()
            switch (choice >> 8) % 4 {
            case 0: frame[place] ^= 1 << UInt8(value % 8)
            case 1: frame[place] = UInt8(truncatingIfNeeded: value)
            case 2: frame[place] = [0, 1, 0x7F, 0x80, 0xFF][Int(value % 5)]
            default: if frame.count > 60 { frame[14 + place % 46] &+= UInt8(value % 3) }
            }
        }
        if choice >> 16 & 7 == 0 {
            frame.removeLast(Int(random.next() % UInt64(frame.count)))
        } else if choice >> 16 & 7 == 1 {
            frame += random.bytes(Int(random.next() % 32))
        }
    }

    @Test(arguments: [1 as UInt64, 2, 3, 4])
    func mutatedFramesNeitherTrapNorGrow(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var harness = FuzzHarness(dhcp: seed == 4, offloads: seed == 3)
        for round in 0..<60_000 {
            var frame = SeedCorpus.frames[Int(random.next() % UInt64(SeedCorpus.frames.count))]
            if round % 8 != 0 { mutate(&frame, &random) }
            if round % 4 != 0, !frame.isEmpty { SeedCorpus.mend(&frame) }
            // Mostly frames in quick succession; now and then time, sends and service.
            let action = round % 16 == 0 ? UInt8(random.next() & 0xFF) : UInt8(round & 1) | 8
            harness.perform(action, frame.span.bytes)
            if round % 1000 == 0 {
                #expect(seen(harness.stack.reassembly.memory) <= 256 << 10)
                #expect(seen(harness.stack.reassembly.count) <= 16)
                #expect(seen(harness.stack.udp.memory) <= 64 << 10)
                #expect(seen(harness.stack.addressesIPv6.count) <= 8)
            }
        }
        #expect(seen(harness.finish()) > (seed == 4 ? 0 : 1000))
        // After a quiet while nothing is left of it all.
        for _ in 0..<40 { harness.perform(7, RawSpan()) }
        #expect(seen(harness.stack.reassembly.count) == 0)
    }

    @Test func everyTruncationOfEverySeedIsHarmless() {
        var harness = FuzzHarness()
        for frame in SeedCorpus.frames {
            for length in 0...frame.count {
                harness.perform(0, frame.span.bytes.extracting(0..<length))
                harness.perform(1, frame.span.bytes.extracting(0..<length))
            }
        }
        #expect(seen(harness.finish()) > 0)
    }

    @Test func randomOctetsAreHarmless() {
        var random = SeededRandom(seed: 99)
        var harness = FuzzHarness()
        for _ in 0..<20_000 {
            let bytes = random.bytes(Int(random.next() % 80))
            harness.perform(UInt8(random.next() & 0x07), bytes.span.bytes)
        }
    }

    @Test func theFuzzerEntryRunsMutatedScripts() {
        var random = SeededRandom(seed: 7)
        let script = SeedCorpus.script
        #expect(seen(fuzzNetworkStack(script.span.bytes)) > 3)
        for _ in 0..<200 {
            var bytes = script
            for _ in 0..<20 {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(
                    truncatingIfNeeded: random.next())
            }
            fuzzNetworkStack(bytes.span.bytes)
        }
    }
}
