// A linked guest made by hand: the smallest ELF file that the image writer accepts.

import SwiftletBootProtocol

@testable import SwiftletBuild

/// Builds ELF files as the linker would, with room for mistakes.
struct SampleGuest {
    var text = [UInt8](repeating: 0x90, count: 100)
    var readOnlyData = [UInt8](repeating: 0x11, count: 50)
    var dataAfterHeader = [UInt8](repeating: 0x22, count: 32)
    var bss: UInt64 = 0x3000
    var type = ELFFile.executableType
    var machine = ELFFile.amd64
    var hasNote = true
    var hasSymbol = true
    var listensForStop = false
    /// Whether it is the library OS for Linux programs.
    var runsPrograms = false
    var magic = ImageHeader.magic
    var version = bootProtocolVersion
    var dataFlags: UInt32 = 6

    static let textAddress: UInt64 = 0x23_0000
    static let readOnlyAddress: UInt64 = 0x23_1000
    static let dataAddress: UInt64 = 0x23_2000
    /// Where Linux programs enter it.
    static let linuxEntry = textAddress + 0x40

    /// The Xen note with the 32-bit entry, then a build id.
    private var notes: [UInt8] {
        var notes: [UInt8] = []
        if hasNote {
            notes.append(littleEndian: UInt32(4))
            notes.append(littleEndian: UInt32(8))
            notes.append(littleEndian: ELFNote.pvhEntry)
            notes += Array("Xen\0".utf8)
            notes.append(littleEndian: Self.textAddress + 0x10)
        }
        notes.append(littleEndian: UInt32(4))
        notes.append(littleEndian: UInt32(3))
        notes.append(littleEndian: UInt32(3))
        notes += Array("GNU\0".utf8) + [0xAB, 0xCD, 0xEF, 0]
        return notes
    }

    /// The whole ELF file.
    var bytes: [UInt8] {
        var data: [UInt8] = []
        data.append(littleEndian: magic)
        data.append(littleEndian: version)
        data += [UInt8](repeating: 0, count: ImageHeader.size - 12)
        data += dataAfterHeader
        let tableAddress = Self.dataAddress + UInt64(data.count)
        if runsPrograms {
            data.append(littleEndian: ProgramTable.magic)
            data.append(littleEndian: ProgramTable.version)
            data += [UInt8](repeating: 0, count: ProgramTable.size - 12)
        }
        let notes = self.notes
        let readOnly = notes + readOnlyData

        let names = Array("\0.text\0.data\0.symtab\0.strtab\0".utf8)
        let strings =
            Array(
                "\0swiftlet_image_header\0$s10SampleCode4workyyF\0swiftlet_listen_for_stop\0"
                    .utf8) + Array("swiftlet_linux_entry\0swiftlet_linux_program\0".utf8)
        var symbols = [UInt8](repeating: 0, count: 24)
        func symbol(_ name: Int, _ kind: UInt8, _ section: UInt16, _ address: UInt64, _ size: Int) {
            symbols.append(littleEndian: UInt32(name))
            symbols += [kind, 0]
            symbols.append(littleEndian: section)
            symbols.append(littleEndian: address)
            symbols.append(littleEndian: UInt64(size))
        }
        if hasSymbol { symbol(1, 1, 2, Self.dataAddress, ImageHeader.size) }
        symbol(23, 2, 1, Self.textAddress + 0x20, 0x30)
        if listensForStop { symbol(46, 2, 1, Self.textAddress + 0x50, 0x10) }

        if runsPrograms {
            symbol(71, 2, 1, Self.linuxEntry, 4)
            symbol(92, 1, 2, tableAddress, ProgramTable.size)
        }

        let start = ELFFile.headerSize + 4 * ELFSegment.size
        let textAt = start
        let readOnlyAt = textAt + text.count
        let dataAt = readOnlyAt + readOnly.count
        let namesAt = dataAt + data.count
        let stringsAt = namesAt + names.count
        let symbolsAt = stringsAt + strings.count
        let sectionsAt = symbolsAt + symbols.count

        var file: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
        file.append(littleEndian: type)
        file.append(littleEndian: machine)
        file.append(littleEndian: UInt32(1))
        file.append(littleEndian: Self.textAddress)
        file.append(littleEndian: UInt64(ELFFile.headerSize))
        file.append(littleEndian: UInt64(sectionsAt))
        file.append(littleEndian: UInt32(0))
        for field in [ELFFile.headerSize, ELFSegment.size, 4, ELFSection.size, 5, 3] {
            file.append(littleEndian: UInt16(field))
        }
        func segment(
            _ type: UInt32, _ flags: UInt32, _ at: Int, _ address: UInt64, _ size: Int,
            _ extra: UInt64 = 0
        ) {
            ELFSegment(
                type: type, flags: flags, offset: UInt64(at), address: address,
                physicalAddress: address, fileSize: UInt64(size), memorySize: UInt64(size) + extra,
                alignment: 4096
            ).append(to: &file)
        }
        segment(ELFSegment.load, 5, textAt, Self.textAddress, text.count)
        segment(ELFSegment.load, 4, readOnlyAt, Self.readOnlyAddress, readOnly.count)
        segment(ELFSegment.load, dataFlags, dataAt, Self.dataAddress, data.count, bss)
        segment(ELFSegment.note, 4, readOnlyAt, Self.readOnlyAddress, notes.count)
        file += text + readOnly + data + names + strings + symbols
        func section(
            _ name: Int, _ type: UInt32, _ flags: UInt64, _ address: UInt64, _ at: Int, _ size: Int,
            link: UInt32 = 0
        ) {
            file.append(littleEndian: UInt32(name))
            file.append(littleEndian: type)
            for field in [flags, address, UInt64(at), UInt64(size)] {
                file.append(littleEndian: field)
            }
            file.append(littleEndian: link)
            file.append(littleEndian: UInt32(0))
            file.append(littleEndian: UInt64(1))
            file.append(littleEndian: UInt64(link == 0 ? 0 : 24))
        }
        section(0, 0, 0, 0, 0, 0)
        section(1, 1, 6, Self.textAddress, textAt, text.count)
        section(7, 1, 3, Self.dataAddress, dataAt, data.count)
        section(21, 3, 0, 0, namesAt, names.count + strings.count)
        section(13, ELFSection.symbolTable, 0, 0, symbolsAt, symbols.count, link: 3)
        // The string table holds section names first, so symbol names are moved behind them.
        for index in 1..<(symbols.count / 24) {
            let at = symbolsAt + index * 24
            file[at] += UInt8(names.count)
        }
        return file
    }
}
