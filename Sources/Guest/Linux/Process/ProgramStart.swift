// A program's first moment: its segments, its stack with arguments and auxiliary vector, its first
// thread (execve(2), getauxval(3), System V ABI for x86-64 §3.4.1).

import CSwiftletMachine
import SwiftletBootProtocol
import SwiftletMachine
import SwiftletMemory

#if hasFeature(Embedded)
    enum ProgramStart {
        /// What a stack may grow to, in octets.
        static let stackSize: UInt64 = 8 << 20
        /// Of that on which the library OS handles faults in the built-in monitor.
        private static let faultStackFrames = 4

        /// Keys of the auxiliary vector.
        private enum Auxiliary {
            static let end: UInt64 = 0
            static let programHeaders: UInt64 = 3
            static let programHeaderSize: UInt64 = 4
            static let programHeaderCount: UInt64 = 5
            static let pageSize: UInt64 = 6
            static let base: UInt64 = 7
            static let flags: UInt64 = 8
            static let entry: UInt64 = 9
            static let user: UInt64 = 11
            static let effectiveUser: UInt64 = 12
            static let group: UInt64 = 13
            static let effectiveGroup: UInt64 = 14
            static let platform: UInt64 = 15
            static let hardware: UInt64 = 16
            static let ticks: UInt64 = 17
            static let secure: UInt64 = 23
            static let random: UInt64 = 25
            static let hardware2: UInt64 = 26
            static let fileName: UInt64 = 31
            static let library: UInt64 = 33
        }

        static func start(_ table: borrowing ProgramTable) {
            guard ProgramPages.enable(allocate: { PageFrames.allocate(1) }),
                let faultStack = PageFrames.allocate(faultStackFrames, zeroed: false)
            else { Faults.fail("too little memory for a program: give the machine more (-m)") }
            ProgramMode.enable(
                processID: UInt64(Calls.ownProcess),
                stack: faultStack + faultStackFrames * PageFrames.size)
            mapSegments(table)
            let name = [UInt8]("/") + table.name.array(0..<table.name.byteCount)
            FileTree.build(programName: name)
            _ = try? Descriptors.add(InputFile())
            for _ in 1..<3 {
                _ = try? Descriptors.add(ConsoleFile(flags: OpenFlags.writeOnly))
            }
            let thread = Scheduler.makeThread()
            do throws(Errno) {
                thread.frame.registers.rsp = try makeStack(table, name)
            } catch {
                Faults.fail("the program's arguments and environment do not fit its stack")
            }
            thread.frame.registers.rip = table.entry
            Scheduler.makeReady(thread)
        }

        private static func mapSegments(_ table: borrowing ProgramTable) {
            for index in 0..<table.count {
                let segment = table.segment(at: index)
                let size = AddressSpace.roundUp(segment.memorySize)
                let bits = UInt8(segment.permissions & 7)
                // Program headers count from the other end: execute 1, write 2, read 4.
                let protection = Protection(
                    rawValue: (bits & 4) >> 2 | bits & 2 | (bits & 1) << 2)
                guard size > 0, segment.address % AddressSpace.pageSize == 0,
                    ProgramPages.protectImage(
                        virtual: segment.address, size: size, access: protection.access)
                else { Faults.fail("the program's segments cannot be mapped") }
                AddressSpace.add(
                    AddressSpace.Mapping(
                        start: segment.address, end: segment.address + size,
                        protection: protection.isEmpty ? [] : protection.union(.read),
                        isImage: true,
                        isFixed: BuiltInMonitor.isPresent && !protection.contains(.write)))
            }
        }

        /// Arguments and environment of the kernel command line, as octets with a NUL.
        private static func words(_ name: [UInt8]) -> (arguments: [[UInt8]], environment: [[UInt8]])
        {
            let line = ImageContents.commandLine
            var arguments = [[UInt8](name.dropFirst()) + [0]]
            var environment: [[UInt8]] = []
            let prefix = CommandLineKey.environmentPrefix
            var words = CommandLineWords()
            while let word = words.next(in: line) {
                switch word {
                case .argument(let range): arguments.append(decoded(line, range) + [0])
                case .setting(let key, let value):
                    guard line.hasPrefix(prefix, in: key) else { continue }
                    let start = key.lowerBound + prefix.utf8CodeUnitCount
                    environment.append(
                        line.array(start..<key.upperBound) + [0x3D] + decoded(line, value) + [0])
                default: continue
                }
            }
            return (arguments, environment)
        }

        private static func decoded(_ line: RawSpan, _ range: Range<Int>) -> [UInt8] {
            var octets: [UInt8] = []
            PercentEncoding.decode(line, in: range) { octets.append($0) }
            return octets
        }

        /// The stack as a program finds it; returns its pointer.
        private static func makeStack(
            _ table: borrowing ProgramTable, _ name: [UInt8]
        ) throws(Errno) -> UInt64 {
            let top = AddressSpace.highest
            AddressSpace.add(
                AddressSpace.Mapping(
                    start: top - stackSize, end: top, protection: [.read, .write]))
            PagesAhead.prepare(top - stackSize / 128, top)
            ProgramPages.flush()
            var place = top
            func push(_ octets: [UInt8]) throws(Errno) -> UInt64 {
                place -= UInt64(octets.count)
                try UserMemory.copy(octets, to: place)
                return place
            }
            let (arguments, environment) = words(name)
            let fileName = try push(name + [0])
            let platform = try push([UInt8]("x86_64") + [0])
            let random = try push(randomOctets(16))
            var pointers: [UInt64] = [UInt64(arguments.count)]
            for word in arguments { pointers.append(try push(word)) }
            pointers.append(0)
            for word in environment { pointers.append(try push(word)) }
            pointers.append(0)
            let features = Processor.features
            let auxiliary: [(UInt64, UInt64)] = [
                (Auxiliary.programHeaders, table.programHeaders),
                (Auxiliary.programHeaderSize, 56),
                (Auxiliary.programHeaderCount, UInt64(table.programHeaderCount)),
                (Auxiliary.pageSize, AddressSpace.pageSize),
                (Auxiliary.base, 0), (Auxiliary.flags, 0), (Auxiliary.entry, table.entry),
                (Auxiliary.user, 0), (Auxiliary.effectiveUser, 0), (Auxiliary.group, 0),
                (Auxiliary.effectiveGroup, 0), (Auxiliary.platform, platform),
                (Auxiliary.hardware, features.hardwareCapabilities),
                (Auxiliary.hardware2, features.hasFSGSBase ? 2 : 0),
                (Auxiliary.ticks, 100), (Auxiliary.secure, 0), (Auxiliary.random, random),
                (Auxiliary.fileName, fileName), (Auxiliary.library, try ProgramClock.make()),
                (Auxiliary.end, 0),
            ]
            for (key, value) in auxiliary { pointers += [key, value] }
            place = (place & ~15) - UInt64(pointers.count + pointers.count % 2) * 8
            for (index, pointer) in pointers.enumerated() {
                try UserMemory.store(pointer, at: place + UInt64(index * 8))
            }
            return place
        }
    }
#endif
