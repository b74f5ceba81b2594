// What the monitor says at boot: memory map, command line, ACPI root (PVH's hvm_start_info).

import CSwiftletMachine

/// A run of physical memory.
public struct MemoryRegion: Equatable, Sendable {
    /// The first octet.
    public var start: UInt64
    /// The octet after the last.
    public var end: UInt64

    @inlinable public init(start: UInt64, end: UInt64) {
        self.start = start
        self.end = end
    }
}

#if hasFeature(Embedded)
    /// The monitor's start info, read through the direct map.
    public struct StartInfo {
        private let address: UInt64
        private let info: UnsafePointer<hvm_start_info>

        init(physicalAddress: UInt64) {
            address = physicalAddress
            info = UnsafePointer(
                DirectMap.pointer(to: GuestPhysicalAddress(physicalAddress))
                    .assumingMemoryBound(to: hvm_start_info.self))
        }

        /// The physical address of the ACPI RSDP, or 0.
        public var acpiRoot: UInt64 { info.pointee.rsdp_paddr }

        /// The command line, without its final NUL. At most 64 KiB are looked at.
        public var commandLine: UnsafeRawBufferPointer {
            let start = info.pointee.cmdline_paddr
            guard start != 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
            let bytes = DirectMap.pointer(to: GuestPhysicalAddress(start))
            var count = 0
            while count < 65536, bytes.load(fromByteOffset: count, as: UInt8.self) != 0 {
                count += 1
            }
            return UnsafeRawBufferPointer(start: bytes, count: count)
        }

        /// Entries in the memory map.
        public var memoryMapCount: Int {
            info.pointee.version >= 1 ? Int(min(info.pointee.memmap_entries, 128)) : 0
        }

        /// The RAM that entry `index` describes; nil if it is of another kind.
        public func ram(at index: Int) -> MemoryRegion? {
            let table = DirectMap.pointer(to: GuestPhysicalAddress(info.pointee.memmap_paddr))
                .assumingMemoryBound(to: hvm_memmap_table_entry.self)
            let entry = table[index]
            guard entry.type == 1, entry.size != 0 else { return nil }
            return MemoryRegion(start: entry.addr, end: entry.addr &+ entry.size)
        }

        /// What the monitor wrote into memory for us: not to be handed out while it is in use.
        public func forEachReserved(_ body: (MemoryRegion) -> Void) {
            body(
                MemoryRegion(
                    start: address, end: address + UInt64(MemoryLayout<hvm_start_info>.size)))
            let table = info.pointee.memmap_paddr
            let entrySize = UInt64(MemoryLayout<hvm_memmap_table_entry>.size)
            body(
                MemoryRegion(
                    start: table, end: table + UInt64(info.pointee.memmap_entries) * entrySize))
            let line = info.pointee.cmdline_paddr
            if line != 0 {
                body(MemoryRegion(start: line, end: line + UInt64(commandLine.count) + 1))
            }
        }
    }
#endif
