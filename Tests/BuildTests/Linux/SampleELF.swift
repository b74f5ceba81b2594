// A static Linux program made by hand: headers, one segment of code, one of data.

import SwiftletBootProtocol
import SystemPackage

@testable import SwiftletBuild

/// Builds programs as a linker would, with room for mistakes.
struct SampleELF {
    /// Begins at `codeAddress`, which is the entry; filled up with `int3`.
    var code: [UInt8]
    /// Begins at `dataAddress`.
    var data = [UInt8](repeating: 0, count: 64)
    /// How far behind a page's beginning that is.
    var dataLead = 0
    var type = ELFFile.executableType
    var machine = ELFFile.amd64
    var codeFlags: UInt32 = 5
    var dataFlags: UInt32 = 6
    var base: UInt64 = 0x40_0000
    /// Names a dynamic linker, if it is not empty.
    var interpreter: [UInt8] = []
    /// Tag and value of a dynamic table, which is there if it is not empty.
    var dynamic: [(UInt64, UInt64)] = []

    var codeAddress: UInt64 { base + 0x1000 }
    var dataAddress: UInt64 { base + 0x2000 + UInt64(dataLead) }

    init(_ code: [UInt8]) { self.code = code }

    /// The whole ELF file.
    var bytes: [UInt8] {
        var table: [UInt8] = []
        for (tag, value) in dynamic + (dynamic.isEmpty ? [] : [(0, 0)]) {
            table.append(littleEndian: tag)
            table.append(littleEndian: value)
        }
        var segments: [ELFSegment] = []
        func add(_ type: UInt32, _ flags: UInt32, _ at: Int, _ size: Int, _ extra: UInt64 = 0) {
            segments.append(
                ELFSegment(
                    type: type, flags: flags, offset: UInt64(at), address: base + UInt64(at),
                    physicalAddress: 0, fileSize: UInt64(size), memorySize: UInt64(size) + extra,
                    alignment: 4096))
        }
        add(ELFSegment.load, 4, 0, 0x200)
        add(ELFSegment.load, codeFlags, 0x1000, code.count)
        add(
            ELFSegment.load, dataFlags, 0x2000 + dataLead,
            data.count + table.count + interpreter.count, 0x100)
        if !dynamic.isEmpty {
            add(ELFSegment.dynamic, 6, 0x2000 + dataLead + data.count, table.count)
        }
        if !interpreter.isEmpty {
            add(
                ELFSegment.interpreter, 4, 0x2000 + dataLead + data.count + table.count,
                interpreter.count)
        }
        var file: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
        file.append(littleEndian: type)
        file.append(littleEndian: machine)
        file.append(littleEndian: UInt32(1))
        file.append(littleEndian: codeAddress)
        file.append(littleEndian: UInt64(ELFFile.headerSize))
        file.append(littleEndian: UInt64(0))
        file.append(littleEndian: UInt32(0))
        for field in [ELFFile.headerSize, ELFSegment.size, segments.count, 0, 0, 0] {
            file.append(littleEndian: UInt16(field))
        }
        for segment in segments { segment.append(to: &file) }
        let lead = [UInt8](repeating: 0x33, count: dataLead)
        for part in [code, lead + data + table + interpreter] {
            while file.count % 0x1000 != 0 { file.append(0) }
            file += part
        }
        return file
    }

    func program() throws(ToolError) -> LinuxProgram {
        try LinuxProgram("sample", contents: bytes)
    }

    /// The sites of the rewritten program, and its code.
    func rewritten() throws(ToolError) -> (sites: [SyscallSite], code: [UInt8]) {
        let rewritten = try RewrittenProgram(program())
        return (rewritten.sites, Array(rewritten.bytes[0x1000..<(0x1000 + code.count)]))
    }
}
