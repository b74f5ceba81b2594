// The program's vDSO (vdso(7)): a page that looks like a shared library, in which C libraries and
// run-time libraries find functions that read clocks without a call. The functions are the library
// OS's (CMachine/x86-64/clock.S).

import CSwiftletMachine
import SwiftletMachine

#if hasFeature(Embedded)
    enum ProgramClock {
        private static let headerSize = 64
        private static let segmentSize = 56
        private static let symbolSize = 24

        /// Makes the page; its address, for AT_SYSINFO_EHDR.
        static func make() throws(Errno) -> UInt64 {
            let (base, multiplier) = Clock.parameters
            swiftlet_linux_clock_base = base
            swiftlet_linux_clock_multiplier = multiplier
            let size = AddressSpace.pageSize
            guard let place = AddressSpace.freePlace(size: size) else { throw .noMemory }
            AddressSpace.add(
                AddressSpace.Mapping(
                    start: place, end: place + size, protection: [.read, .write]))
            try UserMemory.copy(library(at: place), to: place)
            try AddressSpace.protect(place, place + size, [.read])
            ProgramPages.flush()
            return place
        }

        /// From now on the time of day is read without a call, too.
        static func publish(wallOffset: UInt64) { swiftlet_linux_clock_offset = wallOffset }

        /// ELF header, two segments, dynamic section, hash table, symbols, names (System V ABI,
        /// chapters 4 and 5). Symbols lie at distances from the page, which may be negative.
        private static func library(at place: UInt64) -> [UInt8] {
            let functions: [(StaticString, UInt)] = [
                ("__vdso_clock_gettime", swiftlet_address_of_linux_clock_gettime()),
                ("__vdso_gettimeofday", swiftlet_address_of_linux_gettimeofday()),
                ("__vdso_time", swiftlet_address_of_linux_time()),
            ]
            let dynamic = headerSize + 2 * segmentSize
            let dynamicSize = 7 * 16
            let hash = dynamic + dynamicSize
            let symbols = hash + 4 * (4 + functions.count + 1 + 1) / 8 * 8
            let versions = symbols + symbolSize * (functions.count + 1)
            let names = versions + 32
            var octets = [UInt8](repeating: 0, count: names + 1)
            func put(_ value: UInt64, _ size: Int, at offset: Int) {
                for index in 0..<size {
                    octets[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(index * 8))
                }
            }
            put(0x0001_0102_464C_457F, 8, at: 0)
            put(3 | 62 << 16 | 1 << 32, 8, at: 16)
            put(UInt64(headerSize), 8, at: 32)
            put(UInt64(headerSize | segmentSize << 16 | 2 << 32), 6, at: 52)
            // The whole page, as it lies in memory; then what describes it.
            put(1 | 5 << 32, 8, at: headerSize)
            put(AddressSpace.pageSize, 8, at: headerSize + 32)
            put(AddressSpace.pageSize, 8, at: headerSize + 40)
            put(AddressSpace.pageSize, 8, at: headerSize + 48)
            let second = headerSize + segmentSize
            put(2 | 4 << 32, 8, at: second)
            for offset in [8, 16, 24] { put(UInt64(dynamic), 8, at: second + offset) }
            for offset in [32, 40] { put(UInt64(dynamicSize), 8, at: second + offset) }
            put(8, 8, at: second + 48)
            // One chain of all symbols.
            put(1 | UInt64(functions.count + 1) << 32, 8, at: hash)
            put(1, 4, at: hash + 8)
            for index in 1..<functions.count {
                put(UInt64(index + 1), 4, at: hash + 12 + index * 4)
            }
            // The base version, one name, and no other: Go looks for one without asking for a table.
            put(1 | 1 << 16 | 1 << 32 | 1 << 48, 8, at: versions)
            put(20, 4, at: versions + 12)
            for (index, function) in functions.enumerated() {
                let symbol = symbols + (index + 1) * symbolSize
                // A global function of some section's.
                put(UInt64(octets.count - names) | 0x12 << 32 | 1 << 48, 8, at: symbol)
                put(UInt64(function.1) &- place, 8, at: symbol + 8)
                put(1, 8, at: symbol + 16)
                for character in 0..<function.0.utf8CodeUnitCount {
                    octets.append(function.0.octet(character))
                }
                octets.append(0)
            }
            // Keys: hash table 4, names 5, symbols 6, size of the names 10, of a symbol 11, versions.
            let entries = [
                (4, hash), (5, names), (6, symbols), (10, octets.count - names), (11, symbolSize),
                (0x6FFF_FFFC, versions),
            ]
            for (index, entry) in entries.enumerated() {
                put(UInt64(entry.0), 8, at: dynamic + index * 16)
                put(UInt64(entry.1), 8, at: dynamic + index * 16 + 8)
            }
            return octets
        }
    }
#endif
