// The guest's page tables and addresses, as the processor would find them.

import SwiftletBootProtocol
import Testing

@testable import SwiftletMonitor

@Suite("Page tables")
struct PageTableTests {
    private static let present: UInt64 = 1
    private static let writable: UInt64 = 1 << 1
    private static let user: UInt64 = 1 << 2
    private static let large: UInt64 = 1 << 7
    private static let noExecute: UInt64 = 1 << 63

    /// Calls `body` with a builder that has room for so many tables.
    private func withBuilder<R>(_ capacity: Int, _ body: (inout PageTableBuilder) -> R) -> R {
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: capacity * 4096, alignment: 4096)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: capacity * 4096)
        var builder = PageTableBuilder(memory: memory, base: 0x1_0000_0000, capacity: capacity)
        return body(&builder)
    }

    @Test("Pages are mapped where they are to be, and nothing beside them")
    func smallPages() {
        withBuilder(8) { tables in
            let isMapped = tables.map(
                virtual: 0x23_0000, physical: 0x1_0000, size: 0x3000, .code)
            #expect(isMapped)
            for page in 0..<3 as Range<UInt64> {
                let entry = tables.lookUp(0x23_0000 + page * 4096)
                #expect(entry == 0x1_0000 + page * 4096 | Self.present | Self.user)
            }
            #expect(tables.lookUp(0x22_F000) & 1 == 0)
            #expect(tables.lookUp(0x23_3000) & 1 == 0)
            #expect(tables.lookUp(0) & 1 == 0)
        }
    }

    @Test("2 MiB at once where both addresses allow it, 4 KiB at the edges")
    func largePages() {
        withBuilder(8) { tables in
            let base = MonitorCall.directMapBase
            let start: UInt64 = 0x1F_F000
            let size: UInt64 = 0x1000 + 0x40_0000 + 0x2000
            let isMapped = tables.map(
                virtual: base + start, physical: start, size: size, .readWrite)
            #expect(isMapped)
            let bits = Self.present | Self.user | Self.writable | Self.noExecute
            #expect(tables.lookUp(base + start) == start | bits)
            #expect(tables.lookUp(base + 0x20_0000) == 0x20_0000 | bits | Self.large)
            #expect(tables.lookUp(base + 0x40_0000) == 0x40_0000 | bits | Self.large)
            #expect(tables.lookUp(base + 0x60_1000) == 0x60_1000 | bits)
            #expect(tables.lookUp(base + 0x60_2000) & 1 == 0)
            // PML4, PDPT, PD, and a table for each edge.
            #expect(tables.count == 5)
        }
    }

    @Test("Addresses that differ within 2 MiB get small pages")
    func unlikeAddresses() {
        withBuilder(8) { tables in
            let isMapped = tables.map(
                virtual: 0x20_0000, physical: 0x1000, size: 0x20_0000, .readWrite)
            #expect(isMapped)
            #expect(tables.lookUp(0x20_0000) & Self.large == 0)
        }
    }

    @Test("Without room for a table nothing is mapped")
    func full() {
        withBuilder(2) { tables in
            let isMapped = tables.map(virtual: 0x20_0000, physical: 0, size: 4096, .code)
            #expect(!isMapped)
            #expect(tables.count == 2)
        }
    }

    @Test("The supervisor's pages are not the user's, and none is writable and executable")
    func supervisor() {
        withBuilder(16) { tables in
            let isMapped = SupervisorPages.map(in: &tables, physical: 0x800_0000)
            #expect(isMapped)
            for page in 0..<SupervisorPages.count {
                let entry = tables.lookUp(MachineLayout.supervisorBase + page * 4096)
                #expect(entry & Self.present != 0)
                #expect(entry & Self.user == 0)
                #expect(entry & Self.writable == 0 || entry & Self.noExecute != 0)
            }
            let end = MachineLayout.supervisorBase + SupervisorPages.count * 4096
            #expect(tables.lookUp(end) & 1 == 0)
        }
    }
}

@Suite("Layout")
struct MachineLayoutTests {
    private static let image: Range<UInt64> = 0x23_0000..<0x24_8000

    @Test("Image, stack and heap fill memory without touching each other", arguments: [512, 65536])
    func parts(kibibytes: UInt64) throws {
        let layout = try MachineLayout(image: Self.image, memory: kibibytes << 10)
        #expect(layout.ram.lowerBound == MachineLayout.deviceWindow)
        #expect(layout.ram.upperBound - layout.ram.lowerBound == kibibytes << 10)
        #expect(layout.stackMemory.lowerBound == layout.ram.lowerBound + 0x1_8000)
        #expect(layout.heap.lowerBound == layout.stackMemory.upperBound)
        #expect(layout.heap.upperBound == layout.ram.upperBound)
        #expect(layout.supervisor.lowerBound >= layout.ram.upperBound)
        #expect(layout.stack.lowerBound == layout.image.upperBound + 4096)
    }

    @Test("Virtual addresses of the guest's memory are found, others and ends are not")
    func translation() throws {
        let layout = try MachineLayout(image: Self.image, memory: 1 << 20)
        #expect(layout.physicalAddress(0x23_0010, length: 16) == 0x1_0010)
        #expect(layout.physicalAddress(0x24_7FF0, length: 16) == 0x2_7FF0)
        #expect(layout.physicalAddress(0x24_7FF0, length: 17) == nil)
        #expect(
            layout.physicalAddress(layout.stack.lowerBound, length: 8)
                == layout.stackMemory.lowerBound)
        #expect(layout.physicalAddress(layout.stack.lowerBound - 8, length: 8) == nil)
        let heap = MonitorCall.directMapBase + layout.heap.lowerBound
        #expect(layout.physicalAddress(heap, length: 1) == layout.heap.lowerBound)
        #expect(layout.physicalAddress(heap, length: .max) == nil)
        #expect(layout.physicalAddress(0, length: 0) == nil)
        #expect(layout.physicalAddress(.max, length: 2) == nil)
        #expect(layout.physicalAddress(MachineLayout.supervisorBase, length: 8) == nil)
    }

    @Test(
        "The least memory is enough, and leaves a heap; an octet less is not", arguments: [16, 900])
    func least(kibibytes: UInt64) throws {
        let image: Range<UInt64> = 0x23_0000..<(0x23_0000 + kibibytes << 10)
        let least = MonitorCall.requiredMemory(imageSize: kibibytes << 10)
        let layout = try MachineLayout(image: image, memory: least)
        #expect(layout.stack.upperBound - layout.stack.lowerBound >= MonitorCall.smallestStack)
        #expect(
            layout.heap.upperBound - layout.heap.lowerBound
                >= MonitorCall.startInfoSize + MonitorCall.smallestHeap)
        #expect(throws: MonitorError.self) { try MachineLayout(image: image, memory: least - 1) }
    }

    @Test("Too little memory, and too much, is refused")
    func sizes() {
        for memory in [0, 4096, 160 << 10, 1 << 41, .max] as [UInt64] {
            #expect(throws: MonitorError.self) {
                try MachineLayout(image: Self.image, memory: memory)
            }
        }
        #expect(throws: MonitorError.self) {
            try MachineLayout(image: 0x1000..<0x2000, memory: 1 << 20)
        }
    }
}
