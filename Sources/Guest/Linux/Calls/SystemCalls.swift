// The system: uname(2), sysinfo(2), getresuid(2), getrlimit(2), prlimit(2), getrandom(2).

import SwiftletMachine
import SwiftletMemory

#if hasFeature(Embedded)
    extension Calls {
        static func systemName(_ a: Arguments) throws(Errno) -> Int64 {
            // Six fields of 65 octets. C libraries refuse a kernel that is too old for them.
            let fields: [StaticString] = [
                "Linux", "swiftlet", "6.1.0", "#1 Swiftlet", "x86_64", "(none)",
            ]
            try UserMemory.clear(a.a, 390)
            for (index, field) in fields.enumerated() {
                try UserMemory.copy([UInt8](field), to: a.a &+ UInt64(index * 65))
            }
            return 0
        }

        static func systemInformation(_ address: UInt64) throws(Errno) -> Int64 {
            try UserMemory.clear(address, 112)
            try UserMemory.store(Clock.now / second, at: address)
            try UserMemory.store(UInt64(PageFrames.totalCount) * 4096, at: address &+ 32)
            try UserMemory.store(UInt64(PageFrames.freeCount) * 4096, at: address &+ 40)
            try UserMemory.store(UInt16(Scheduler.threads.count), at: address &+ 80)
            try UserMemory.store(UInt32(1), at: address &+ 104)
            return 0
        }

        /// getresuid(2), getresgid(2): root's three.
        static func realNumbers(_ a: Arguments) throws(Errno) -> Int64 {
            for address in [a.a, a.b, a.c] { try UserMemory.store(UInt32(0), at: address) }
            return 0
        }

        private static let resourceCount: UInt64 = 16

        static func getLimit(_ resource: UInt64, _ address: UInt64) throws(Errno) -> Int64 {
            guard resource < resourceCount else { throw .invalid }
            let limit: UInt64 =
                switch resource {
                case 3: ProgramStart.stackSize
                case 4: 0
                case 7: UInt64(Descriptors.limit)
                default: .max
                }
            try UserMemory.store(limit, at: address)
            try UserMemory.store(limit, at: address &+ 8)
            return 0
        }

        /// Limits are what they are: setting one to its value, or lower, is heard and no more.
        static func limits(_ a: Arguments) throws(Errno) -> Int64 {
            guard a.b < resourceCount else { throw .invalid }
            if a.c != 0 { let _: UInt64 = try UserMemory.load(a.c) }
            return a.d == 0 ? 0 : try getLimit(a.b, a.d)
        }

        static func random(_ a: Arguments) throws(Errno) -> Int64 {
            let count = Int(min(a.b, 1 << 20))
            try UserMemory.checkWritable(a.a, count)
            try UserMemory.copy(randomOctets(count), to: a.a)
            return Int64(count)
        }
    }
#endif
