// The only ring-0 code in the machine, and what leads the processor to it: descriptors, task state,
// and a stub of two instructions for each exception, which leaves the virtual machine.
//
// These pages are the monitor's. The guest, in ring 3, can neither read nor write them.

import SwiftletBootProtocol

/// Descriptor tables, stubs and fault stack: the first pages of the supervisor's memory, in front of
/// the page tables (Intel SDM volume 3 §3.4.5, §6.14, §7.7).
enum SupervisorPages {
    /// Pages: descriptors, stubs, and two of fault stack.
    static let count: UInt64 = 4
    /// The port that a stub writes to. A write from anywhere else means nothing.
    static let faultPort: UInt8 = 0xEE

    static let descriptors = MachineLayout.supervisorBase
    static let interruptTable = descriptors + 0x80
    static let taskState = descriptors + 0x280
    static let taskStateLimit = UInt32(permissionOffset + permissionSize - 1)
    static let interruptTableLimit: UInt16 = UInt16(vectors * 16 - 1)
    static let descriptorLimit: UInt16 = 0x37
    static let stubs = MachineLayout.supervisorBase + 0x1000
    static let stackTop = MachineLayout.supervisorBase + 0x4000

    /// Exceptions; what lies beyond the table's limit is a general protection fault.
    static let vectors = 32
    private static let stubSize = 16
    /// Where `syscall` leads on hosts whose KVM takes it in spite of EFER, in ring 3 or out of it: a
    /// stub behind the others.
    static let systemCallStub = stubs + UInt64(vectors * stubSize)

    /// The I/O permission map behind the task state (SDM volume 1 §19.5.2): a bit a port, 0 for those
    /// of monitor calls, up to the last of them and an octet of ones.
    private static let permissionOffset = 104
    private static let permissionSize = Int(MonitorCall.turnPort) / 8 + 2
    private static let ports = MonitorCall.consolePort..<(MonitorCall.turnPort + 4)

    /// Selectors, with their privilege level.
    static let supervisorCode: UInt16 = 0x08
    static let userData: UInt16 = 0x18 | 3
    static let userCode: UInt16 = 0x20 | 3
    static let taskStateSelector: UInt16 = 0x28

    /// Fills in the pages, which are zeroed.
    static func write(to pages: UnsafeMutableRawPointer) {
        // Accessed bits are set already, so that the processor has nothing to write here.
        let base = taskState
        let segments: [UInt64] = [
            0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x00CF_F300_0000_FFFF,
            0x00AF_FB00_0000_FFFF,
            UInt64(taskStateLimit) | (base & 0xFF_FFFF) << 16 | 0x8B << 40
                | (base >> 24 & 0xFF) << 56,
            base >> 32,
        ]
        for (index, segment) in segments.enumerated() {
            pages.storeBytes(of: segment, toByteOffset: index * 8, as: UInt64.self)
        }
        let state = pages + Int(taskState - descriptors)
        // Stacks for privilege level 0, and for gates that name IST1.
        state.storeBytes(of: stackTop, toByteOffset: 4, as: UInt64.self)
        state.storeBytes(of: stackTop, toByteOffset: 36, as: UInt64.self)
        state.storeBytes(of: UInt16(permissionOffset), toByteOffset: 102, as: UInt16.self)
        let permissions = state + permissionOffset
        permissions.initializeMemory(as: UInt8.self, repeating: 0xFF, count: permissionSize)
        for port in ports {
            let octet = permissions.load(fromByteOffset: Int(port) / 8, as: UInt8.self)
            permissions.storeBytes(
                of: octet & ~(1 << UInt8(port % 8)), toByteOffset: Int(port) / 8, as: UInt8.self)
        }
        let gates = pages + Int(interruptTable - descriptors)
        let code = pages + Int(stubs - descriptors)
        for slot in 0...vectors {
            // out %al, $port; iretq
            for (offset, octet) in [0xE6, faultPort, 0x48, 0xCF].enumerated() {
                code.storeBytes(of: octet, toByteOffset: slot * stubSize + offset, as: UInt8.self)
            }
        }
        for vector in 0..<vectors {
            let stub = stubs + UInt64(vector * stubSize)
            // An interrupt gate that only exceptions may take, on IST1.
            gates.storeBytes(
                of: stub & 0xFFFF | UInt64(supervisorCode) << 16 | 1 << 32 | 0x8E << 40
                    | (stub >> 16 & 0xFFFF) << 48,
                toByteOffset: vector * 16, as: UInt64.self)
            gates.storeBytes(of: stub >> 32, toByteOffset: vector * 16 + 8, as: UInt64.self)
        }
    }

    /// The exception whose stub `instruction` lies in.
    static func vector(at instruction: UInt64) -> Int? {
        guard instruction >= stubs, instruction < stubs + UInt64(vectors * stubSize) else {
            return nil
        }
        return Int(instruction - stubs) / stubSize
    }

    /// Whether `instruction` lies in the stub of `syscall`.
    static func isSystemCall(at instruction: UInt64) -> Bool {
        instruction >= systemCallStub && instruction < systemCallStub + UInt64(stubSize)
    }

    /// Whether the processor pushes an error code (SDM volume 3 table 6-1).
    static func hasErrorCode(_ vector: Int) -> Bool {
        [8, 10, 11, 12, 13, 14, 17, 21, 29, 30].contains(vector)
    }

    /// Maps the pages; `physical` is the first one's address.
    static func map(in tables: inout PageTableBuilder, physical: UInt64) -> Bool {
        let page = MachineLayout.pageSize
        let start = MachineLayout.supervisorBase
        return tables.map(virtual: start, physical: physical, size: page, .supervisorData)
            && tables.map(
                virtual: start + page, physical: physical + page, size: page, .supervisorCode)
            && tables.map(
                virtual: start + 2 * page, physical: physical + 2 * page, size: 2 * page,
                .supervisorData)
    }
}
