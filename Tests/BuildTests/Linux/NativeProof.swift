// Makes of a rewritten program one that Linux runs, in which any `syscall` instruction but a single
// one kills the process.
//
// The thunks' segment gets more code behind the thunks. The program's entry is a prologue that sets
// the cell, installs a seccomp filter (seccomp(2), instruction pointer) and goes to the program's own
// entry; the cell leads to a stub that does the real system call.

import SwiftletBootProtocol

@testable import SwiftletBuild

enum NativeProof {
    /// The exit code, as a shell counts it, of a process that the filter killed (SIGSYS).
    static let killed: Int32 = 128 + 31
    /// The same if the filter could not be installed (SIGILL).
    static let noFilter: Int32 = 128 + 4

    /// An ELF file of `bytes`, which has `program`'s layout, with `thunks` behind it.
    static func executable(
        _ program: LinuxProgram, bytes: [UInt8], thunks: [UInt8]
    ) -> [UInt8]? {
        var segment = Code(address: program.extent.upperBound, octets: thunks)
        segment.align()
        let entry = segment.appendProof(entry: program.elf.entry)
        guard let table = headers(program, bytes: bytes, segment: segment) else { return nil }
        var file = bytes
        file.replaceSubrange(table.at..<(table.at + table.octets.count), with: table.octets)
        var entryOctets: [UInt8] = []
        entryOctets.append(littleEndian: entry)
        file.replaceSubrange(24..<32, with: entryOctets)
        while file.count % 4096 != 0 { file.append(0) }
        return file + segment.octets
    }

    /// Another table of program headers, as long as the old one: one for the thunks takes the place
    /// of one that the program can do without.
    private static func headers(
        _ program: LinuxProgram, bytes: [UInt8], segment: Code
    ) -> (at: Int, octets: [UInt8])? {
        let span = bytes.span.bytes
        let at = Int(span.littleEndian64(32))
        let old = (0..<program.elf.segments.count).map {
            ELFSegment(span, at: at + $0 * ELFSegment.size)
        }
        let property: UInt32 = 0x6474_E553
        let stack: UInt32 = 0x6474_E551
        guard
            let spare = [ELFSegment.note, property, stack].lazy.compactMap({ type in
                old.firstIndex { $0.type == type }
            }).first
        else { return nil }
        var segments = old
        segments.remove(at: spare)
        guard let last = segments.lastIndex(where: { $0.type == ELFSegment.load }) else {
            return nil
        }
        let offset = (bytes.count + 4095) / 4096 * 4096
        segments.insert(
            ELFSegment(
                type: ELFSegment.load, flags: 7, offset: UInt64(offset), address: segment.address,
                physicalAddress: segment.address, fileSize: UInt64(segment.octets.count),
                memorySize: UInt64(segment.octets.count), alignment: 4096), at: last + 1)
        var octets: [UInt8] = []
        for segment in segments { segment.append(to: &octets) }
        return (at, octets)
    }

    /// Machine code as it grows.
    struct Code {
        let address: UInt64
        var octets: [UInt8]

        mutating func align() {
            while octets.count % 16 != 0 { octets.append(0xCC) }
        }

        /// `opcode` with an operand at offset `target` of this code, relative to RIP.
        private mutating func relative(_ opcode: [UInt8], to target: Int) {
            octets += opcode
            octets.append(littleEndian: Int32(target - octets.count - 4))
        }

        /// `prctl(38, 1, 0, 0, 0)` and the like; anything but 0 as its result is the end.
        private mutating func prctl(_ option: UInt32, _ second: UInt32, filter: Int?) {
            octets.append(0xBF)  // mov $option, %edi
            octets.append(littleEndian: option)
            octets.append(0xBE)  // mov $second, %esi
            octets.append(littleEndian: second)
            if let filter {
                relative([0x48, 0x8D, 0x15], to: filter)  // lea filter(%rip), %rdx
            } else {
                octets += [0x31, 0xD2]  // xor %edx, %edx
            }
            octets += [0x45, 0x31, 0xD2, 0x45, 0x31, 0xC0]  // xor %r10d, %r10d; xor %r8d, %r8d
            octets += [0xB8, 157, 0, 0, 0, 0x0F, 0x05]  // mov $157, %eax; syscall
            octets += [0x85, 0xC0, 0x74, 0x02, 0x0F, 0x0B]  // test %eax, %eax; je 1f; ud2; 1:
        }

        /// Appends stub, filter and prologue; the prologue's address.
        mutating func appendProof(entry: UInt64) -> UInt64 {
            // The stub keeps rcx, which the instruction would overwrite, where neither the program's
            // stack nor another thread is touched.
            let stub = octets.count
            octets += [0x66, 0x4C, 0x0F, 0x6E, 0xF1, 0x0F, 0x05]  // movq %rcx, %xmm14; syscall
            let afterSyscall = octets.count
            octets += [0x66, 0x4C, 0x0F, 0x7E, 0xF1, 0xFF, 0xE1]  // movq %xmm14, %rcx; jmp *%rcx
            align()
            // Kill, unless the instruction pointer's two halves are those behind the stub's.
            let filter = octets.count
            for (code, yes, no, value): (UInt16, UInt8, UInt8, UInt32) in [
                (0x20, 0, 0, 12), (0x15, 0, 3, 0), (0x20, 0, 0, 8), (0x15, 0, 1, 0),
                (0x06, 0, 0, 0x7FFF_0000), (0x06, 0, 0, 0x8000_0000),
            ] {
                octets.append(littleEndian: code)
                octets += [yes, no]
                octets.append(littleEndian: value)
            }
            let description = octets.count
            octets.append(littleEndian: UInt64(6))
            octets.append(littleEndian: UInt64(0))

            let prologue = octets.count
            let store: [UInt8] = [0x48, 0x89, 0x05]
            relative([0x48, 0x8D, 0x05], to: stub)  // lea stub(%rip), %rax
            relative(store, to: 0)  // mov %rax, cell(%rip)
            relative([0x48, 0x8D, 0x05], to: filter)
            relative(store, to: description + 8)
            relative([0x48, 0x8D, 0x05], to: afterSyscall)
            relative([0x89, 0x05], to: filter + 3 * 8 + 4)  // mov %eax, …
            octets += [0x48, 0xC1, 0xE8, 32]  // shr $32, %rax
            relative([0x89, 0x05], to: filter + 8 + 4)
            prctl(38, 1, filter: nil)  // PR_SET_NO_NEW_PRIVS
            prctl(22, 2, filter: description)  // PR_SET_SECCOMP, SECCOMP_MODE_FILTER
            octets += [0x31, 0xD2]  // xor %edx, %edx: no function to be called at the end
            octets.append(0xE9)
            let end = address + UInt64(octets.count + 4)
            octets.append(littleEndian: Int32(Int64(bitPattern: entry &- end)))
            return address + UInt64(prologue)
        }
    }
}
