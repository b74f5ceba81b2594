// Registers as a guest leaves them when it calls the monitor or faults, and what the monitor reads
// of its memory then.

import CSwiftletKVM
import SwiftletBootProtocol
import SwiftletTestSupport

@testable import SwiftletMonitor

/// Console calls, fault reports and changes of pages: any registers, any memory.
enum CallFuzzing: FuzzTarget {
    static let name = "monitor-calls"
    static let seeds: [[UInt8]] = [
        [0, 1, 0, 16, 2, 0, 16, 0, 0xFF], [1, 14, 2, 1, 0, 8, 1, 0, 8, 1, 0, 8, 0, 16, 0, 32],
        [1, 6, 0, 3, 0, 0, 4, 0, 0, 5, 0, 0, 1, 2, 3, 4],
        [4, 3, 0, 1, 10, 0, 0, 12, 0, 0, 1, 0, 1, 10, 0, 0, 12, 0, 0, 0, 0, 2, 10, 0, 0, 0, 0, 0],
    ]

    private static let guarded = GuardedMemory(imageIsReadable: true)
    /// A machine whose RAM is the guarded memory: the image is what may only be read.
    private static let layout: MachineLayout? = {
        let image: Range<UInt64> = 0x20_0000..<0x21_0000
        return try? MachineLayout(
            image: image, memory: GuardedMemory.ram.upperBound - GuardedMemory.ram.lowerBound)
    }()

    static func run(_ octets: RawSpan) {
        guard let layout else { preconditionFailure("the layout does not fit") }
        var input = FuzzInput(octets)
        guarded.clear()
        let memory = guarded.memory
        let kind = input.next()
        if kind == 4 { return changePages(&input, layout) }
        if kind & 1 == 0 {
            let address = self.address(&input, layout)
            let length = input.next() == 0xFF ? input.long() : input.word()
            let octets = Machine.consoleOctets(address, length, layout, memory)
            precondition(octets?.count ?? 0 <= MonitorCall.consoleLimit)
            precondition(octets.map { $0.reduce(0, &+) >= 0 } ?? true)
            return
        }
        var fault = Fault(
            vector: Int(input.next() & 31), errorCode: 0, address: 0, registers: kvm_regs())
        fault.errorCode = UInt64(input.next())
        fault.address = address(&input, layout)
        fault.registers.rip = address(&input, layout)
        fault.registers.rsp = address(&input, layout)
        fault.registers.rbp = address(&input, layout)
        // The stack lies in what the image's pages hold here, or above.
        var place = layout.stackMemory.lowerBound
        while !input.isEmpty, let target = memory.pointer(place, 8), place >= 0x2_0000 {
            target.storeBytes(of: address(&input, layout), as: UInt64.self)
            place += 8
        }
        let report = fault.report(memory, layout)
        precondition(report.utf8.count < 4096)
        precondition(fault.exitCode >= 132)
    }

    /// Whatever a guest writes into a list: what is mapped then is its heap's, and not executable.
    private static func changePages(_ input: inout FuzzInput, _ layout: MachineLayout) {
        let capacity = 24
        let tables = UnsafeMutableRawPointer.allocate(
            byteCount: capacity * 4096, alignment: 4096)
        defer { tables.deallocate() }
        tables.initializeMemory(as: UInt8.self, repeating: 0, count: capacity * 4096)
        var pages = ProgramPages(
            PageTableBuilder(memory: tables, base: 1 << 32, capacity: capacity), layout: layout,
            segments: [])
        var changes: [(UInt64, UInt64, UInt64)] = []
        while !input.isEmpty, changes.count < 40 {
            let access = UInt64(input.next())
            let count = input.next() == 0xFF ? input.long() : UInt64(input.next())
            changes.append((address(&input, layout), address(&input, layout) ^ access, count))
        }
        let list = layout.heap.lowerBound
        guard let place = guarded.memory.pointer(list, UInt64(changes.count * PageChange.size))
        else { preconditionFailure("the list does not fit") }
        for (index, change) in changes.enumerated() {
            for (word, value) in [change.0, change.1, change.2].enumerated() {
                place.storeBytes(
                    of: value, toByteOffset: index * PageChange.size + word * 8, as: UInt64.self)
            }
        }
        let base = MonitorCall.directMapBase + list
        let count = input.next() == 0xFF ? input.long() : UInt64(changes.count)
        _ = pages.change(at: base, count: count, guarded.memory)
        for change in changes {
            let entry = pages.lookUp(change.0)
            guard entry & 1 != 0 else { continue }
            precondition(entry >> 63 == 1, "what a program writes is not executed")
            precondition(
                guarded.memory.deviceRange.contains(entry & PageTableBuilder.addressMask),
                "a foreign frame")
            precondition(
                (MonitorCall.programStart..<MonitorCall.programEnd).contains(change.0),
                "a foreign place")
        }
    }

    private static func address(_ input: inout FuzzInput, _ layout: MachineLayout) -> UInt64 {
        let choice = input.next()
        let bases: [UInt64] = [
            0, layout.stack.lowerBound, layout.stack.upperBound, layout.image.lowerBound,
            layout.image.upperBound, MonitorCall.directMapBase + layout.heap.lowerBound,
            MonitorCall.directMapBase + layout.heap.upperBound, MachineLayout.supervisorBase, .max,
            layout.stack.lowerBound + 0x1000, MonitorCall.programStart, MonitorCall.programEnd,
            layout.heap.lowerBound, layout.heap.upperBound, layout.supervisor.lowerBound,
        ]
        if choice == 0xFF { return input.long() }
        let offset = input.word()
        return choice & 0x80 == 0
            ? bases[Int(choice) % bases.count] &+ offset
            : bases[Int(choice) % bases.count] &- offset
    }
}
