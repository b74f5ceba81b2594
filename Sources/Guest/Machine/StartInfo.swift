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

        /// A copy of the command line, without its final NUL, in memory that `allocate` makes. At
        /// most 64 KiB are looked at.
        public func copyCommandLine(
            allocate: (Int) -> UnsafeMutableRawPointer?
        ) -> UnsafeRawBufferPointer {
            if !hasMemoryMap { return FirmwareConfiguration.copyCommandLine(allocate: allocate) }
            let count = commandLineCount
            guard count > 0, let copy = allocate(count) else {
                return UnsafeRawBufferPointer(start: nil, count: 0)
            }
            let line = DirectMap.pointer(to: GuestPhysicalAddress(info.pointee.cmdline_paddr))
            copy.copyMemory(from: line, byteCount: count)
            return UnsafeRawBufferPointer(start: copy, count: count)
        }

        private var commandLineCount: Int {
            let start = info.pointee.cmdline_paddr
            guard start != 0 else { return 0 }
            let bytes = DirectMap.pointer(to: GuestPhysicalAddress(start))
            var count = 0
            while count < 65536, bytes.load(fromByteOffset: count, as: UInt8.self) != 0 {
                count += 1
            }
            return count
        }

        private var hasMemoryMap: Bool {
            info.pointee.version >= 1 && info.pointee.memmap_entries != 0
        }

        /// Entries in the memory map.
        public var memoryMapCount: Int {
            hasMemoryMap ? Int(min(info.pointee.memmap_entries, 128)) : 1
        }

        /// The RAM that entry `index` describes; nil if it is of another kind.
        public func ram(at index: Int) -> MemoryRegion? {
            guard hasMemoryMap else { return FirmwareConfiguration.lowMemory() }
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
                body(MemoryRegion(start: line, end: line + UInt64(commandLineCount) + 1))
            }
        }
    }

    /// QEMU's fw_cfg device (QEMU: docs/specs/fw_cfg.rst), asked where the start info is empty:
    /// microvm's firmware keeps it in memory that a machine of less than a mebibyte does not have.
    enum FirmwareConfiguration {
        private static let selector: UInt16 = 0x510
        private static let data: UInt16 = 0x511
        private static let signatureKey: UInt16 = 0
        private static let memorySizeKey: UInt16 = 3
        private static let commandLineSizeKey: UInt16 = 0x14
        private static let commandLineKey: UInt16 = 0x15
        /// Where the PC's extended BIOS data begins: RAM ends below it.
        private static let lowMemoryEnd: UInt64 = 0x9_FC00

        /// The RAM below 640 KiB, nil without such a device.
        static func lowMemory() -> MemoryRegion? {
            guard read(signatureKey, octets: 4) == 0x554D_4551 else { return nil }  // "QEMU"
            let size = read(memorySizeKey, octets: 8)
            return MemoryRegion(start: 0, end: min(size, lowMemoryEnd))
        }

        static func copyCommandLine(
            allocate: (Int) -> UnsafeMutableRawPointer?
        ) -> UnsafeRawBufferPointer {
            // The size counts the NUL.
            let size = Int(min(read(commandLineSizeKey, octets: 4), 65536)) - 1
            guard size > 0, let copy = allocate(size) else {
                return UnsafeRawBufferPointer(start: nil, count: 0)
            }
            swiftlet_out16(selector, commandLineKey)
            for offset in 0..<size {
                copy.storeBytes(of: swiftlet_in8(data), toByteOffset: offset, as: UInt8.self)
            }
            return UnsafeRawBufferPointer(start: copy, count: size)
        }

        private static func read(_ key: UInt16, octets: UInt64) -> UInt64 {
            swiftlet_out16(selector, key)
            var value: UInt64 = 0
            for octet in 0..<octets { value |= UInt64(swiftlet_in8(data)) << (octet * 8) }
            return value
        }
    }
#endif
