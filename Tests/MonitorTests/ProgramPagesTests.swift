// Pages of a program, as the guest may change them: only memory that it has, only where nothing of the
// image's or the monitor's lies, and never to be executed.

import SwiftletBootProtocol
import Testing

@testable import SwiftletMonitor

@Suite("A program's pages")
struct ProgramPagesTests {
    private static let window = MonitorCall.programStart
    private static let present: UInt64 = 1
    private static let writable: UInt64 = 1 << 1
    private static let noExecute: UInt64 = 1 << 63

    /// A machine's memory and page tables, without a processor.
    private struct Space {
        static let segments = [
            ImageSegment(
                address: 0x23_0000, size: 0x1000, fileOffset: 0, fileSize: 0, permission: .code),
            ImageSegment(
                address: 0x23_1000, size: 0x1000, fileOffset: 0, fileSize: 0,
                permission: .readOnly),
            ImageSegment(
                address: 0x23_2000, size: 0x2000, fileOffset: 0, fileSize: 0,
                permission: .readWrite),
            // The program's.
            ImageSegment(
                address: 0x40_0000, size: 0x1000, fileOffset: 0, fileSize: 0, permission: .code),
            ImageSegment(
                address: 0x40_2000, size: 0x2800, fileOffset: 0, fileSize: 0,
                permission: .readWrite),
        ]
        let layout: MachineLayout
        let memory: GuestMemory
        let supervisor: GuestMemory
        var pages: ProgramPages

        init(tables: Int? = nil) throws {
            layout = try MachineLayout(image: 0x23_0000..<0x40_4800, memory: 8 << 20)
            var memory = try GuestMemory(layout.ram)
            memory.deviceRange = layout.heap
            self.memory = memory
            let supervisor = try GuestMemory(layout.supervisor)
            self.supervisor = supervisor
            if let tables {
                let empty = PageTableBuilder(
                    memory: supervisor.base, base: layout.supervisor.lowerBound, capacity: tables)
                pages = ProgramPages(empty, layout: layout, segments: Self.segments)
            } else {
                pages = ProgramPages(
                    try Machine.mapMemory(
                        segments: Self.segments, layout: layout, supervisor: supervisor,
                        registerPages: [0x1000]), layout: layout, segments: Self.segments)
            }
        }

        /// The first frame of the heap that nothing else is in.
        var frame: UInt64 { layout.heap.lowerBound + 0x1_0000 }

        /// Makes changes, in one call, as the guest does.
        mutating func change(_ changes: [(UInt64, UInt64, UInt64)]) -> PageResult {
            let list = layout.heap.lowerBound + 0x8000
            for (index, change) in changes.enumerated() {
                let place = memory.pointer(list, 4096).unsafelyUnwrapped + index * PageChange.size
                place.storeBytes(of: change.0, as: UInt64.self)
                place.storeBytes(of: change.1, toByteOffset: 8, as: UInt64.self)
                place.storeBytes(of: change.2, toByteOffset: 16, as: UInt64.self)
            }
            return pages.change(
                at: MonitorCall.directMapBase + list, count: UInt64(changes.count), memory)
        }

        func release() {
            memory.release()
            supervisor.release()
        }
    }

    private func withSpace<R>(tables: Int? = nil, _ body: (inout Space) throws -> R) throws -> R {
        var space = try Space(tables: tables)
        defer { space.release() }
        return try body(&space)
    }

    @Test("Frames of the heap are mapped, changed and taken away, and are never executable")
    func frames() throws {
        try withSpace { space in
            let frame = space.frame
            #expect(space.change([(Self.window, frame | 3, 2)]) == .done)
            let entry = space.pages.lookUp(Self.window + 4096)
            #expect(entry & PageTableBuilder.addressMask == frame + 4096)
            #expect(entry & Self.writable != 0 && entry & Self.noExecute != 0)
            #expect(space.pages.lookUp(Self.window + 8192) == 0)

            #expect(space.change([(Self.window, frame | 1, 1)]) == .done)
            let changed = space.pages.lookUp(Self.window)
            #expect(changed & Self.writable == 0 && changed & Self.present != 0)
            #expect(changed & Self.noExecute != 0)
            #expect(space.pages.lookUp(Self.window + 4096) & Self.writable != 0)

            #expect(space.change([(Self.window, 0, 2)]) == .done)
            #expect(space.pages.lookUp(Self.window) == 0)
            #expect(space.pages.lookUp(Self.window + 4096) == 0)
            // What is not there can be taken away, without a table for it.
            #expect(space.change([(MonitorCall.programEnd - 4096, 0, 1)]) == .done)
        }
    }

    @Test("A list is worked off in its order, up to what is refused")
    func lists() throws {
        try withSpace { space in
            let result = space.change([
                (Self.window, space.frame | 3, 1), (Self.window + 8192, space.frame | 3, 1),
                (0, space.frame | 3, 1), (Self.window + 4096, space.frame | 3, 1),
            ])
            #expect(result == .refused)
            #expect(space.pages.lookUp(Self.window) & Self.present != 0)
            #expect(space.pages.lookUp(Self.window + 8192) & Self.present != 0)
            #expect(space.pages.lookUp(Self.window + 4096) == 0)
        }
    }

    @Test("Nothing of the image's, the monitor's or nobody's is mapped, or mapped over")
    func foreign() throws {
        try withSpace { space in
            let layout = space.layout
            let frame = space.frame
            let virtual: [UInt64] = [
                0, 0x1000, 0x23_0000, 0x23_1000, 0x23_2000, 0x23_3000, 0x40_0000, 0x40_1000,
                0x40_5000, layout.stack.lowerBound, layout.stack.lowerBound - 4096,
                layout.stack.upperBound, Self.window - 4096, MonitorCall.programEnd,
                MonitorCall.programEnd - 4096, MonitorCall.directMapBase,
                MonitorCall.directMapBase + layout.heap.lowerBound, 1 << 47,
                MachineLayout.supervisorBase, MachineLayout.supervisorBase + 0x1000, .max - 4095,
                Self.window + 1, Self.window + 0x8000_0000_0000_0000,
            ]
            for address in virtual {
                let before = space.pages.lookUp(address)
                #expect(
                    space.change([(address, frame | 3, 2)]) == .refused, "\(address)")
                #expect(space.pages.lookUp(address) == before)
            }
            let physical: [UInt64] = [
                0, 0x1000, layout.ram.lowerBound, layout.stackMemory.lowerBound,
                layout.heap.lowerBound - 4096, layout.heap.upperBound - 4096,
                layout.heap.upperBound, layout.supervisor.lowerBound, 1 << 40, 1 << 63,
                ~4095,
            ]
            for place in physical {
                #expect(space.change([(Self.window, place | 3, 2)]) == .refused, "\(place)")
                #expect(space.pages.lookUp(Self.window) == 0)
            }
            // Accesses that there are not, to execute among them; and numbers of pages.
            for access in [2, 4, 5, 7, 8, 4095] as [UInt64] {
                #expect(space.change([(Self.window, frame | access, 1)]) == .refused)
            }
            for count in [0, MonitorCall.mostPages + 1, 1 << 52, 1 << 63, .max] as [UInt64] {
                #expect(space.change([(Self.window, frame | 3, count)]) == .refused)
            }
            #expect(space.pages.lookUp(Self.window) == 0)
        }
    }

    @Test("A list that is not in the guest's own memory, or is none, is not read")
    func badLists() throws {
        try withSpace { space in
            let memory = space.memory
            let heap = MonitorCall.directMapBase + space.layout.heap.lowerBound
            let end = MonitorCall.directMapBase + space.layout.heap.upperBound
            for (address, count) in [
                (0, 1), (heap - 8, 1), (end - 16, 1), (end, 1), (heap + 1, 1), (heap, 129),
                (heap, 1 << 63), (heap, .max), (.max, 1), (MachineLayout.supervisorBase, 1),
                (0x23_2000, 1), (space.layout.stack.lowerBound, 1),
            ] as [(UInt64, UInt64)] {
                #expect(
                    space.pages.change(at: address, count: count, memory) == .refused,
                    "\(address) \(count)")
            }
            #expect(space.pages.change(at: heap, count: 0, memory) == .done)
        }
    }

    @Test("The program's own data may lose rights and get them back; the library OS's may not")
    func image() throws {
        try withSpace { space in
            let data: UInt64 = 0x40_2000
            let original = space.pages.lookUp(data)
            #expect(original & Self.writable != 0)
            // The frame that is named is not heeded.
            #expect(space.change([(data, space.frame | 1, 2)]) == .done)
            #expect(space.pages.lookUp(data) == original & ~Self.writable)
            #expect(space.change([(data, 0, 3)]) == .done)
            #expect(space.pages.lookUp(data) == 0)
            #expect(space.change([(data, 3, 3)]) == .done)
            #expect(space.pages.lookUp(data) == original)
            #expect(space.change([(data, 3, 4)]) == .refused)
            #expect(space.change([(0x23_2000, 1, 1)]) == .refused)
        }
    }

    @Test("Without room for a table nothing more is mapped, and that is said")
    func full() throws {
        try withSpace(tables: 5) { space in
            let step: UInt64 = 2 << 20
            #expect(space.change([(Self.window, space.frame | 3, 1)]) == .done)
            #expect(space.change([(Self.window + step, space.frame | 3, 1)]) == .done)
            #expect(space.change([(Self.window + 2 * step, space.frame | 3, 1)]) == .full)
            #expect(space.pages.lookUp(Self.window + 2 * step) == 0)
        }
    }

    @Test("A handler of faults has its stack in memory that the guest may write to")
    func handler() throws {
        try withSpace { space in
            let heap = MonitorCall.directMapBase + space.layout.heap.lowerBound
            let end = MonitorCall.directMapBase + space.layout.heap.upperBound
            for top in [
                0, 16, heap, heap + 48, heap + 65, end + 16, 0x23_2040, .max & ~15,
                space.layout.stack.upperBound, MachineLayout.supervisorBase + 0x4000,
            ] as [UInt64] {
                #expect(GuestHandler(entry: 0x23_0000, stackTop: top, space.memory) == nil)
            }
            for entry in [0, 1 << 47, MachineLayout.supervisorBase, .max] as [UInt64] {
                #expect(GuestHandler(entry: entry, stackTop: end, space.memory) == nil)
            }
            let handler = try #require(
                GuestHandler(entry: 0x23_0000, stackTop: heap + 64, space.memory))
            #expect(handler.stack == heap)
            handler.tell(
                Interruption(
                    vector: 14, errorCode: 6, address: 0x1234, rip: 1, rflags: 2, rsp: 3),
                space.memory)
            let record = try #require(space.memory.pointer(space.layout.heap.lowerBound, 64))
            let words = (0..<8).map { record.load(fromByteOffset: $0 * 8, as: UInt64.self) }
            #expect(words == [0x1234, 14, 6, 1, 0x23, 2, 3, 0x1B])
        }
    }
}
