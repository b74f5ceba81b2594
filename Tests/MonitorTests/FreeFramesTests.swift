// What the monitor takes back of the guest's memory: what a table of frames says, honest or not.

import Glibc
import SwiftletBootProtocol
import SwiftletTestSupport
import Testing

@testable import SwiftletMonitor

@Suite("Free frames")
struct FreeFramesTests {
    /// 4 MiB, of which devices may touch all but the first 256 frames. Every octet is a witness.
    private final class Guest {
        static let ram: Range<UInt64> = 0x1_0000..<0x41_0000
        static let heap: Range<UInt64> = 0x11_0000..<0x41_0000
        static let frames = 0x300
        let memory: GuestMemory
        var free = FreeFrames()

        init() throws {
            var memory = try GuestMemory(Self.ram)
            memory.deviceRange = Self.heap
            memset(memory.base, 0xA5, Int(Self.ram.upperBound - Self.ram.lowerBound))
            self.memory = memory
            memset(octets(0), 0, Self.frames)
            free.show(table: MonitorCall.directMapBase + Self.heap.lowerBound, memory)
        }

        deinit { munmap(memory.base, Int(Self.ram.upperBound - Self.ram.lowerBound)) }

        func octets(_ frame: Int) -> UnsafeMutableRawPointer {
            memory.base + Int(Self.heap.lowerBound - Self.ram.lowerBound) + frame * 4096
        }

        func mark(_ frame: Int, _ tag: UInt8) {
            octets(0).storeBytes(of: tag, toByteOffset: frame, as: UInt8.self)
        }

        /// Frames from the table's on, behind it, that have lost their octets.
        var lost: [Int] {
            (1..<Self.frames).filter { octets($0).load(fromByteOffset: 100, as: UInt8.self) == 0 }
        }

        var isImageWhole: Bool {
            (0..<256).allSatisfy {
                memory.base.load(fromByteOffset: $0 * 4096, as: UInt8.self) == 0xA5
            }
        }
    }

    @Test("Long runs go back but for their first frame; short ones and used frames stay")
    func honest() throws {
        let guest = try Guest()
        guest.mark(8, MonitorCall.freeFrames + 3)
        guest.mark(16, MonitorCall.freeFrames + 4)
        guest.mark(32, 5)
        guest.mark(64, MonitorCall.freeFrames + 6)
        #expect(guest.free.giveBack(guest.memory) == (15 + 63) * 4096)
        #expect(guest.lost == Array(17..<32) + Array(65..<128))
        #expect(guest.isImageWhole)
    }

    @Test("A run that leaves memory is none, nor is one of an order that there is not")
    func beyond() throws {
        for (frame, order) in [(0x2F8, 4), (0x300 - 1, 10), (512, 31), (512, 64), (16, 127)] {
            let guest = try Guest()
            guest.mark(frame, MonitorCall.freeFrames + UInt8(order))
            #expect(guest.free.giveBack(guest.memory) == 0, "\(frame) \(order)")
            #expect(guest.lost == [] && guest.isImageWhole)
        }
    }

    @Test("A table that is not in memory is none")
    func noTable() throws {
        let guest = try Guest()
        guest.mark(16, MonitorCall.freeFrames + 4)
        let base = MonitorCall.directMapBase
        for address: UInt64 in [
            0, .max, base - 1, base, base + Guest.ram.lowerBound, base + Guest.heap.upperBound,
            base + Guest.heap.upperBound + 1, Guest.heap.lowerBound, base &+ (1 << 63),
        ] {
            guest.free.show(table: address, guest.memory)
            #expect(guest.free.giveBack(guest.memory) == 0, "\(address)")
            #expect(guest.free.delay(hasRun: true) == .max)
        }
        #expect(guest.lost == [])
    }

    @Test("Nothing that a table says harms what the guest does not own")
    func random() throws {
        var random = SeededRandom(seed: 11)
        for _ in 0..<200 {
            let guest = try Guest()
            for _ in 0..<Int.random(in: 1...40, using: &random) {
                guest.mark(
                    Int.random(in: 0..<Guest.frames, using: &random),
                    UInt8.random(in: 0...255, using: &random))
            }
            for _ in 0..<4 { guest.free.giveBack(guest.memory) }
            #expect(guest.isImageWhole)
        }
    }

    @Test("A guest that has not run since the last look is left alone")
    func rest() throws {
        let guest = try Guest()
        #expect(guest.free.delay(hasRun: false) == .max)
        #expect(guest.free.delay(hasRun: true) <= 1_000_000_000)
        guest.free.giveBack(guest.memory)
        #expect(guest.free.delay(hasRun: false) == .max)
    }
}
