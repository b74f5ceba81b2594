// Which system calls are rewritten, how, and which are left alone.

import SwiftletBootProtocol
import SystemPackage
import Testing

@testable import SwiftletBuild

@Suite("Rewriting system calls")
struct SyscallRewriterTests {
    static let syscall: [UInt8] = [0x0F, 0x05]
    static let ret: [UInt8] = [0xC3]
    /// `mov $39, %eax`
    static let number: [UInt8] = [0xB8, 39, 0, 0, 0]
    /// `mov %edi, %eax`
    static let move: [UInt8] = [0x89, 0xF8]
    /// `cmp $-4095, %rax`
    static let compare: [UInt8] = [0x48, 0x3D, 0x01, 0xF0, 0xFF, 0xFF]

    static func reason(_ site: SyscallSite?) -> String? {
        if case .left(let reason) = site?.method { return reason }
        return nil
    }

    @Test("A site whose number is set before it becomes a jump, and nothing else changes")
    func number() throws {
        let sample = SampleELF(Self.number + Self.syscall + Self.ret)
        let rewritten = try RewrittenProgram(sample.program())
        let site = try #require(rewritten.sites.first)
        #expect(rewritten.sites.count == 1)
        #expect(site.address == sample.codeAddress + 5)
        #expect(site.number == 39)
        #expect(site.method == .number)
        #expect(site.certainty == .likely)
        // The thunks begin on the page behind the data; the first one lies behind cell and filler.
        let thunk = sample.dataAddress + 0x1000 + 16
        var code: [UInt8] = [0xE9]
        code.append(littleEndian: Int32(thunk - sample.codeAddress - 5))
        code += [0xCC, 0xCC, 0xC3]
        var expected = sample.bytes
        expected.replaceSubrange(0x1000..<0x1008, with: code)
        #expect(rewritten.bytes == expected)

        // mov $39, %eax; lea back(%rip), %rcx; jmp *cell(%rip)
        var octets = Self.number + [0x48, 0x8D, 0x0D]
        octets.append(
            littleEndian: Int32(
                bitPattern: UInt32(
                    truncatingIfNeeded:
                        sample.codeAddress &+ 7 &- (thunk + 12))))
        octets += [0xFF, 0x25]
        octets.append(littleEndian: Int32(-16 - 18))
        let thunks = rewritten.thunks(entering: 0x1234)
        #expect(Array(thunks[0..<8]) == [0x34, 0x12, 0, 0, 0, 0, 0, 0])
        #expect(Array(thunks[16...]) == octets)
    }

    @Test("Segments of code may stand in the file in another order than in memory")
    func orderInFile() throws {
        var sample = SampleELF(Self.number + Self.syscall + Self.ret)
        sample.data = sample.code
        sample.dataFlags = 5
        var bytes = sample.bytes
        let (former, latter) = (bytes[0x1000..<0x2000], bytes[0x2000...])
        bytes = Array(bytes[..<0x1000] + latter)
        bytes += [UInt8](repeating: 0, count: 0x2000 - bytes.count) + former
        for (segment, place) in [(1, 0x2000), (2, 0x1000)] as [(Int, UInt64)] {
            var octets: [UInt8] = []
            octets.append(littleEndian: place)
            let field = ELFFile.headerSize + segment * ELFSegment.size + 8
            bytes.replaceSubrange(field..<(field + 8), with: octets)
        }
        let rewritten = try RewrittenProgram(LinuxProgram("sample", contents: bytes))
        #expect(rewritten.sites.map(\.address) == [0x40_1005, 0x40_2005])
        #expect(rewritten.sites.map(\.method) == [.number, .number])
        #expect(rewritten.bytes[0x1000] == 0xE9 && rewritten.bytes[0x2000] == 0xE9)
    }

    @Test("Without a number before it, instructions before it move, then those after it")
    func neighbours() throws {
        let before = try SampleELF(Self.move + Self.move + Self.syscall + Self.ret).rewritten()
        #expect(before.sites.map(\.method) == [.neighbours(before: 2, after: 0)])
        #expect(before.sites[0].number == nil)
        #expect(before.code[5...] == [0xCC, 0xC3])

        let after = try SampleELF(Self.syscall + Self.compare + Self.ret).rewritten()
        #expect(after.sites.map(\.method) == [.neighbours(before: 0, after: 1)])
        #expect(after.code == [0xE9] + after.code[1..<5] + [0xCC, 0xCC, 0xCC, 0xC3])

        // jne to the beginning, call: the first can move, the second cannot.
        let mixed = Self.syscall + [0x75, 0xFC] + [0xE8, 0, 0, 0, 0] + Self.ret
        #expect(Self.reason(try SampleELF(mixed).rewritten().sites.first) != nil)
        let enough = Self.move + Self.syscall + [0x75, 0xFC] + [0xE8, 0, 0, 0, 0] + Self.ret
        // The branch leads to the site itself, which therefore must begin what is replaced.
        let sites = try SampleELF(enough).rewritten().sites
        #expect(Self.reason(sites.first) == "a branch leads to its neighbours")
    }

    @Test("What moves means the same: branches and operands relative to RIP")
    func relocation() throws {
        // lea 0x10(%rip), %rsi; syscall; je +2; mov …; ret
        let code =
            [0x48, 0x8D, 0x35, 0x10, 0, 0, 0] + Self.syscall + [0x74, 0x02] + Self.move + Self.ret
        let sample = SampleELF(code)
        let rewritten = try RewrittenProgram(sample.program())
        #expect(rewritten.sites.map(\.method) == [.neighbours(before: 1, after: 0)])
        let thunks = rewritten.thunks(entering: 0)
        let distance = Int64(Int32(bitPattern: thunks.span.bytes.littleEndian32(16 + 3)))
        let thunk = Int64(rewritten.thunksAddress) + 16
        #expect(thunk + 7 + distance == Int64(sample.codeAddress) + 7 + 0x10)

        let conditional = SampleELF(Self.syscall + [0x74, 0x02] + Self.move + Self.ret + Self.ret)
        let other = try RewrittenProgram(conditional.program())
        #expect(Self.reason(other.sites.first) == nil)
        let octets = other.thunks(entering: 0)
        // lea, jmp *cell; then je, as a long one, to where it led; then the rest and the way back.
        #expect(octets[29..<31] == [0x0F, 0x84])
        let jump = Int64(Int32(bitPattern: octets.span.bytes.littleEndian32(31)))
        #expect(
            Int64(other.thunksAddress) + 35 + jump == Int64(conditional.codeAddress) + 4 + 2)
    }

    @Test("No branch's target lies within what is replaced")
    func branchTargets() throws {
        // A jump to the instruction behind `mov`.
        let direct = Self.number + Self.syscall + Self.ret + [0xEB, 0xFB]
        let left = try SampleELF(direct + [0x90]).rewritten()
        #expect(left.sites.count == 1)
        // An absolute address in data: a jump table, or a pointer to a label.
        var pointer = SampleELF(Self.number + Self.syscall + Self.ret)
        pointer.data = []
        pointer.data.append(littleEndian: pointer.codeAddress + 5)
        #expect(try Self.reason(pointer.rewritten().sites[0]) != nil)
        // lea table(%rip), %rax, and in the table a distance from itself.
        var table = SampleELF(
            [0x48, 0x8D, 0x05] + [0xF9, 0x0F, 0, 0] + Self.number + Self.syscall)
        table.code += Self.ret
        #expect(try table.rewritten().sites.map(\.method) == [.number])
        table.data = []
        table.data.append(littleEndian: Int32(-0x1000 + 7 + 5))
        #expect(try Self.reason(table.rewritten().sites[0]) != nil)
        // The same as an operand.
        var operand: [UInt8] = [0x68]
        operand.append(littleEndian: UInt32(0x40_1000 + 5 + 5))
        let pushed = try SampleELF(operand + Self.number + Self.syscall + Self.ret).rewritten()
        #expect(Self.reason(pushed.sites[0]) != nil)
    }

    @Test("Where octets are no instructions, only the plainest sites are touched")
    func doubt() throws {
        let junk: [UInt8] = [0x06, 0x06]
        let plain = try SampleELF(Self.number + Self.syscall + junk).rewritten()
        #expect(plain.sites.map(\.method) == [.number])
        #expect(plain.sites.map(\.certainty) == [.doubtful])
        let other = try SampleELF(Self.move + Self.move + Self.syscall + junk).rewritten()
        #expect(Self.reason(other.sites[0]) == "octets around it are no instructions")
    }

    @Test("Octets of a syscall within other instructions are none")
    func insideOthers() throws {
        // mov $0x50f0f05, %eax; a displacement; the real one.
        let code: [UInt8] = [0xB9, 0x0F, 0x05, 0x0F, 0x05, 0x8B, 0x87, 0x0F, 0x05, 0, 0]
        let rewritten = try SampleELF(code + Self.number + Self.syscall + Self.ret).rewritten()
        #expect(rewritten.sites.map(\.address) == [0x40_1000 + 16])
    }

    @Test("System calls of 32-bit programs are named and left")
    func legacy() throws {
        let sites = try SampleELF(Self.number + [0xCD, 0x80] + Self.ret).rewritten().sites
        #expect(sites.map { Self.reason($0) } == ["a system call of 32-bit programs"])
    }
}
