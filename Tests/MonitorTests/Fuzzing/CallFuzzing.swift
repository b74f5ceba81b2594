// Registers as a guest leaves them when it calls the monitor or faults, and what the monitor reads
// of its memory then.

import CSwiftletKVM
import SwiftletBootProtocol
import SwiftletTestSupport

@testable import SwiftletMonitor

/// Console calls and fault reports: any registers, any stack.
enum CallFuzzing: FuzzTarget {
    static let name = "monitor-calls"
    static let seeds: [[UInt8]] = [
        [0, 1, 0, 16, 2, 0, 16, 0, 0xFF], [1, 14, 2, 1, 0, 8, 1, 0, 8, 1, 0, 8, 0, 16, 0, 32],
        [1, 6, 0, 3, 0, 0, 4, 0, 0, 5, 0, 0, 1, 2, 3, 4],
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
        if input.next() & 1 == 0 {
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

    private static func address(_ input: inout FuzzInput, _ layout: MachineLayout) -> UInt64 {
        let choice = input.next()
        let bases: [UInt64] = [
            0, layout.stack.lowerBound, layout.stack.upperBound, layout.image.lowerBound,
            layout.image.upperBound, MonitorCall.directMapBase + layout.heap.lowerBound,
            MonitorCall.directMapBase + layout.heap.upperBound, MachineLayout.supervisorBase, .max,
            layout.stack.lowerBound + 0x1000,
        ]
        if choice == 0xFF { return input.long() }
        let offset = input.word()
        return choice & 0x80 == 0
            ? bases[Int(choice) % bases.count] &+ offset
            : bases[Int(choice) % bases.count] &- offset
    }
}
