// The little of ACPI that a virtual machine needs: where the interrupt controllers are, and how to
// power off (ACPI 6.5 §5.2: RSDP, XSDT, FADT, MADT; §4.8.3.7 sleep control; §7.4.2 \_S5).

import CSwiftletMachine

#if hasFeature(Embedded)
    /// The firmware's tables. All addresses and lengths come from outside and are bounded.
    public enum ACPI {
        /// Physical address of the RSDP, 0 if unknown. Set at boot.
        nonisolated(unsafe) static var root: UInt64 = 0
        private static let headerSize: UInt64 = 36
        private static let longestTable: UInt64 = 1 << 20

        /// Tries to enter S5, soft off. Returns where the machine has no ACPI, or it refuses.
        static func enterSoftOff() {
            guard let fadt = table(0x5043_4146), length(of: fadt) >= 129 else { return }  // "FACP"
            let dsdt64 = length(of: fadt) >= 148 ? read64(fadt + 140) : 0
            let dsdt = dsdt64 != 0 ? dsdt64 : UInt64(read32(fadt + 40))
            guard let sleepType = softOffType(dsdt: dsdt) else { return }
            let hardwareReduced = read32(fadt + 112) & 1 << 20 != 0
            if hardwareReduced {
                // Sleep control register, a generic address structure at octet 244.
                guard length(of: fadt) >= 256 else { return }
                let value = sleepType << 2 | 1 << 5
                switch read8(fadt + 244) {
                case 0: swiftlet_store8(address(read64(fadt + 248)), value)
                case 1: swiftlet_out8(UInt16(truncatingIfNeeded: read64(fadt + 248)), value)
                default: return
                }
            } else {
                let control = UInt16(truncatingIfNeeded: read32(fadt + 64))
                guard control != 0 else { return }
                swiftlet_out16(control, UInt16(sleepType) << 10 | 1 << 13)
            }
        }

        /// Calls `body` with each I/O APIC's registers and first global interrupt (MADT type 1).
        static func forEachIOAPIC(_ body: (_ address: UInt64, _ firstInterrupt: UInt32) -> Void) {
            guard let madt = table(0x4349_5041) else { return }  // "APIC"
            let end = madt + length(of: madt)
            var entry = madt + 44
            while entry + 2 <= end {
                let size = UInt64(read8(entry + 1))
                guard size >= 2, entry + size <= end else { return }
                if read8(entry) == 1, size >= 12 {
                    body(UInt64(read32(entry + 4)), read32(entry + 8))
                }
                entry += size
            }
        }

        /// The table with this signature (four characters, little-endian), by the XSDT or RSDT.
        private static func table(_ signature: UInt32) -> UInt64? {
            guard root != 0 else { return nil }
            let isExtended = read8(root + 15) >= 2 && read64(root + 24) != 0
            let list = isExtended ? read64(root + 24) : UInt64(read32(root + 16))
            let entrySize: UInt64 = isExtended ? 8 : 4
            guard list != 0 else { return nil }
            let end = list + length(of: list)
            var entry = list + headerSize
            while entry + entrySize <= end {
                let candidate = isExtended ? read64(entry) : UInt64(read32(entry))
                if candidate != 0, read32(candidate) == signature { return candidate }
                entry += entrySize
            }
            return nil
        }

        private static func length(of table: UInt64) -> UInt64 {
            min(UInt64(read32(table + 4)), longestTable)
        }

        /// SLP_TYP of `\_S5`: the definition block is searched for the name and its package's first
        /// integer, which is how small systems avoid an AML interpreter.
        private static func softOffType(dsdt: UInt64) -> UInt8? {
            guard dsdt != 0 else { return nil }
            let end = dsdt + length(of: dsdt)
            var at = dsdt + headerSize
            while at + 12 <= end {
                if read32(at) == 0x5F35_535F, read8(at + 4) == 0x12 {  // "_S5_", PackageOp
                    // PkgLength of one to four octets, element count, then ByteConst or 0/1.
                    var element = at + 6 + UInt64(read8(at + 5) >> 6) + 1
                    if read8(element) == 0x0A { element += 1 }
                    return read8(element) & 7
                }
                at += 1
            }
            return nil
        }

        private static func address(_ physical: UInt64) -> UInt {
            UInt(bitPattern: Platform.mapDevice(GuestPhysicalAddress(physical), size: 4096))
        }

        // The tables lie where firmware put them, in RAM or ROM: mapped page by page when read.
        @inline(never)
        private static func read8(_ physical: UInt64) -> UInt8 { swiftlet_load8(address(physical)) }
        @inline(never)
        private static func read32(_ physical: UInt64) -> UInt32 {
            UInt32(read8(physical)) | UInt32(read8(physical + 1)) << 8
                | UInt32(read8(physical + 2)) << 16 | UInt32(read8(physical + 3)) << 24
        }
        @inline(never)
        private static func read64(_ physical: UInt64) -> UInt64 {
            UInt64(read32(physical)) | UInt64(read32(physical + 4)) << 32
        }
    }
#endif
