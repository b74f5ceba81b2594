// What the guest is told at its start: Xen's hvm_start_info (version 1), with one run of RAM in its
// memory map, and the command line.

import SwiftletBootProtocol

/// Writes the start info's pages.
enum StartInfo {
    private static let magic: UInt32 = 0x336E_C578
    private static let mapOffset = 64
    private static let ramType: UInt32 = 1

    static func write(
        to memory: GuestMemory, layout: MachineLayout, commandLine: [UInt8]
    ) throws(MonitorError) {
        guard commandLine.count < MachineLayout.commandLineLimit else {
            throw MonitorError("arguments and environment are longer than a guest is told")
        }
        guard let page = memory.pointer(layout.startInfo, MonitorCall.startInfoSize) else {
            throw MonitorError("no memory for the start info")
        }
        page.storeBytes(of: magic, toByteOffset: 0, as: UInt32.self)
        page.storeBytes(of: 1, toByteOffset: 4, as: UInt32.self)  // version
        page.storeBytes(of: layout.commandLine, toByteOffset: 24, as: UInt64.self)
        page.storeBytes(
            of: layout.startInfo + UInt64(mapOffset), toByteOffset: 40, as: UInt64.self)
        page.storeBytes(of: 1, toByteOffset: 48, as: UInt32.self)  // entries
        let entry = page + mapOffset
        entry.storeBytes(of: layout.heap.lowerBound, toByteOffset: 0, as: UInt64.self)
        entry.storeBytes(
            of: layout.heap.upperBound - layout.heap.lowerBound, toByteOffset: 8,
            as: UInt64.self)
        entry.storeBytes(of: ramType, toByteOffset: 16, as: UInt32.self)
        // The pages are zeroed, so a NUL follows.
        (page + Int(MachineLayout.pageSize)).copyMemory(
            from: commandLine, byteCount: commandLine.count)
    }
}
