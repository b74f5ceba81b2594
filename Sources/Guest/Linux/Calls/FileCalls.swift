// Descriptors: read(2), write(2), readv(2), pread(2), preadv(2), lseek(2), dup(2), fcntl(2), ioctl(2),
// pipe(2), eventfd(2), sendfile(2), getdents64(2), close(2).

import SwiftletMachine

#if hasFeature(Embedded)
    /// One of the places that a call reads from or writes to (struct iovec).
    typealias VectorPart = (address: UInt64, count: Int)

    extension Calls {
        /// The most octets that one call transfers (read(2), NOTES).
        private static let longest = 0x7FFF_F000
        private static let mostVectors: UInt64 = 1024

        private static func count(_ value: UInt64) -> Int { Int(min(value, UInt64(longest))) }

        private static func readable(_ descriptor: UInt64) throws(Errno) -> OpenFile {
            let file = try Descriptors.file(descriptor)
            guard file.isReadable else { throw .badDescriptor }
            return file
        }

        private static func writable(_ descriptor: UInt64) throws(Errno) -> OpenFile {
            let file = try Descriptors.file(descriptor)
            guard file.isWritable else { throw .badDescriptor }
            return file
        }

        /// What no program can have is refused before there is a wait, as Linux does.
        private static func checkAddress(_ address: UInt64, _ size: UInt64) throws(Errno) {
            let (end, overflow) = address.addingReportingOverflow(size)
            guard !overflow, end <= AddressSpace.programEnd else { throw .fault }
        }

        static func read(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            try Descriptors.unretained(a.a).with { (file) throws(Errno) in
                guard file.isReadable else { throw .badDescriptor }
                try checkAddress(a.b, a.c)
                return Int64(
                    try file.blocking(thread) { () throws(Errno) in
                        try file.read(to: a.b, count(a.c))
                    })
            }
        }

        static func write(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            try Descriptors.unretained(a.a).with { (file) throws(Errno) in
                guard file.isWritable else { throw .badDescriptor }
                try checkAddress(a.b, a.c)
                return try write(file, a.b, count(a.c), thread)
            }
        }

        /// A blocking write goes on until all is written.
        private static func write(
            _ file: OpenFile, _ address: UInt64, _ count: Int, _ thread: LinuxThread
        ) throws(Errno) -> Int64 {
            do throws(Errno) {
                while true {
                    let done = thread.wait.progress
                    let more = try file.blocking(thread) { () throws(Errno) in
                        try file.write(from: address &+ UInt64(done), count - done)
                    }
                    thread.wait.progress += more
                    if thread.wait.progress >= count || more == 0 { break }
                }
            } catch {
                if error == .suspended { throw error }
                guard thread.wait.progress > 0 else { throw brokenPipe(error, thread) }
            }
            let done = thread.wait.progress
            thread.wait.progress = 0
            return Int64(done)
        }

        /// EPIPE comes with SIGPIPE.
        static func brokenPipe(_ error: Errno, _ thread: LinuxThread) -> Errno {
            if error == .brokenPipe {
                ProcessSignals.send(SignalInformation(signal: Signal.pipe), to: thread)
            }
            return error
        }

        static func readAt(_ a: Arguments) throws(Errno) -> Int64 {
            guard signed(a.d) >= 0 else { throw .invalid }
            return Int64(try readable(a.a).read(at: a.d, to: a.b, count(a.c)))
        }

        static func writeAt(_ a: Arguments) throws(Errno) -> Int64 {
            guard signed(a.d) >= 0 else { throw .invalid }
            return Int64(try writable(a.a).write(at: a.d, from: a.b, count(a.c)))
        }

        /// The parts of a struct iovec array.
        static func vectors(
            _ address: UInt64, _ number: UInt64
        ) throws(Errno) -> [VectorPart] {
            guard number <= mostVectors else { throw .invalid }
            var parts: [VectorPart] = []
            var total = 0
            for index in 0..<number {
                let size: UInt64 = try UserMemory.load(address &+ index * 16 &+ 8)
                guard size <= UInt64(longest - total) else { throw .invalid }
                total += Int(size)
                parts.append((try UserMemory.load(address &+ index * 16), Int(size)))
            }
            return parts
        }

        static func readVector(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            let file = try readable(a.a)
            let parts = try vectors(a.b, a.c)
            return Int64(
                try file.blocking(thread) { () throws(Errno) in
                    if let done = try file.read(whole: parts) { return done }
                    return try inOrder(parts) { (address, count, _) throws(Errno) in
                        try file.read(to: address, count)
                    }
                })
        }

        /// Transfers parts until one is not done as a whole; an error counts if none was before it.
        ///
        /// - Parameter body: address and length of a part, and how many octets came before it.
        static func inOrder(
            _ parts: [VectorPart],
            _ body: (UInt64, Int, Int) throws(Errno) -> Int
        ) throws(Errno) -> Int {
            var total = 0
            for part in parts where part.count > 0 {
                let done: Int
                do throws(Errno) {
                    done = try body(part.address, part.count, total)
                } catch {
                    if total > 0 { return total }
                    throw error
                }
                total += done
                if done < part.count { break }
            }
            return total
        }

        /// preadv(2). The file's own place does not move.
        static func readVectorAt(_ a: Arguments) throws(Errno) -> Int64 {
            guard signed(a.d) >= 0 else { throw .invalid }
            let file = try readable(a.a)
            return Int64(
                try inOrder(try vectors(a.b, a.c)) { (address, count, done) throws(Errno) in
                    try file.read(at: a.d &+ UInt64(done), to: address, count)
                })
        }

        /// pwritev(2).
        static func writeVectorAt(_ a: Arguments) throws(Errno) -> Int64 {
            guard signed(a.d) >= 0 else { throw .invalid }
            let file = try writable(a.a)
            return Int64(
                try inOrder(try vectors(a.b, a.c)) { (address, count, done) throws(Errno) in
                    try file.write(at: a.d &+ UInt64(done), from: address, count)
                })
        }

        static func writeVector(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            let file = try writable(a.a)
            let parts = try vectors(a.b, a.c)
            return try writeParts(file, parts, thread)
        }

        /// Writes all parts, in order; a blocking file takes all before it returns.
        static func writeParts(
            _ file: OpenFile, _ parts: [VectorPart], _ thread: LinuxThread,
            isSilent: Bool = false, nonBlocking: Bool = false
        ) throws(Errno) -> Int64 {
            if let done = try file.write(whole: parts) { return Int64(done) }
            let total = parts.reduce(0) { $0 + $1.count }
            do throws(Errno) {
                while thread.wait.progress < total {
                    var skip = thread.wait.progress
                    var index = 0
                    while skip >= parts[index].count {
                        skip -= parts[index].count
                        index += 1
                    }
                    let part = parts[index]
                    let more = try file.blocking(thread, nonBlocking: nonBlocking) {
                        () throws(Errno) in
                        try file.write(from: part.address &+ UInt64(skip), part.count - skip)
                    }
                    thread.wait.progress += more
                    if more == 0 { break }
                }
            } catch {
                if error == .suspended { throw error }
                guard thread.wait.progress > 0 else {
                    throw isSilent ? error : brokenPipe(error, thread)
                }
            }
            let done = thread.wait.progress
            thread.wait.progress = 0
            return Int64(done)
        }

        /// From a file to whatever can be written; a blocking one takes all before this returns.
        static func sendFile(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            let out = try writable(a.a)
            guard let source = try readable(a.b).asNode, out.flags & OpenFlags.append == 0 else {
                throw .invalid
            }
            var begin = source.offset
            if a.c != 0 {
                let offset: Int64 = try UserMemory.load(a.c)
                guard offset >= 0 else { throw .invalid }
                begin = UInt64(offset)
            }
            let total = count(a.d)
            do throws(Errno) {
                while thread.wait.progress < total {
                    let done = thread.wait.progress
                    let more = try out.blocking(thread) { () throws(Errno) in
                        try source.withContents(at: begin &+ UInt64(done), total - done) {
                            (bytes) throws(Errno) -> Int in
                            guard bytes.byteCount > 0 else { return 0 }
                            return try out.put(bytes)
                        }
                    }
                    thread.wait.progress += more
                    if more == 0 { break }
                }
            } catch {
                if error == .suspended { throw error }
                guard thread.wait.progress > 0 else { throw brokenPipe(error, thread) }
            }
            let done = thread.wait.progress
            thread.wait.progress = 0
            if a.c != 0 {
                try UserMemory.store(begin &+ UInt64(done), at: a.c)
            } else {
                source.offset = begin &+ UInt64(done)
            }
            return Int64(done)
        }

        static func close(_ a: Arguments) throws(Errno) -> Int64 {
            try Descriptors.close(a.a)
            return 0
        }

        static func closeRange(_ a: Arguments) throws(Errno) -> Int64 {
            // There is nobody to share the table with.
            let (unshares, closesOnExec): (UInt32, UInt32) = (2, 4)
            let (first, last) = (UInt32(truncatingIfNeeded: a.a), UInt32(truncatingIfNeeded: a.b))
            let flags = UInt32(truncatingIfNeeded: a.c)
            guard flags & ~(unshares | closesOnExec) == 0, first <= last else { throw .invalid }
            Descriptors.closeRange(
                UInt64(first), UInt64(last), onExec: flags & closesOnExec != 0)
            return 0
        }

        static func duplicate(
            _ old: UInt64, from lowest: Int, closesOnExec: Bool
        ) throws(Errno) -> Int64 {
            try Descriptors.add(
                try Descriptors.file(old), closesOnExec: closesOnExec, from: lowest)
        }

        static func duplicate(
            _ old: UInt64, to new: UInt64, _ flags: UInt64, allowsSame: Bool
        ) throws(Errno) -> Int64 {
            let file = try Descriptors.file(old)
            if old == new {
                guard allowsSame else { throw .invalid }
                return Int64(new)
            }
            try Descriptors.replace(
                new, by: file, closesOnExec: flags & UInt64(OpenFlags.closeOnExec) != 0)
            return Int64(new)
        }

        static func fileControl(_ a: Arguments) throws(Errno) -> Int64 {
            let file = try Descriptors.file(a.a)
            switch a.b {
            case 0, 1030:
                guard a.c < UInt64(Descriptors.limit) else { throw .invalid }
                return try duplicate(a.a, from: Int(a.c), closesOnExec: a.b == 1030)
            case 1: return try Descriptors.closesOnExec(a.a) ? 1 : 0
            case 2: try Descriptors.setClosesOnExec(a.a, a.c & 1 != 0)
            case 3: return Int64(file.flags)
            case 4:
                let changeable = OpenFlags.nonBlocking | OpenFlags.append
                file.flags =
                    file.flags & ~changeable | UInt32(truncatingIfNeeded: a.c) & changeable
            // Locks: there is no other process to hold one.
            case 5: try UserMemory.store(Int16(2), at: a.c)
            case 6, 7: break
            case 8, 9: break
            default: throw .invalid
            }
            return 0
        }

        static func control(_ a: Arguments) throws(Errno) -> Int64 {
            let file = try Descriptors.file(a.a)
            let request = UInt32(truncatingIfNeeded: a.b)
            switch request {
            case 0x5421:  // FIONBIO
                let value: Int32 = try UserMemory.load(a.c)
                if value != 0 {
                    file.flags |= OpenFlags.nonBlocking
                } else {
                    file.flags &= ~OpenFlags.nonBlocking
                }
                return 0
            case 0x5450, 0x5451:  // FIONCLEX, FIOCLEX
                try Descriptors.setClosesOnExec(a.a, request == 0x5451)
                return 0
            default: return try file.control(request, a.c)
            }
        }

        static func pipe(_ address: UInt64, _ flags: UInt64) throws(Errno) -> Int64 {
            let known = UInt64(OpenFlags.nonBlocking | OpenFlags.closeOnExec)
            guard flags & ~known == 0 else { throw .invalid }
            try UserMemory.checkWritable(address, 8)
            let buffer = PipeBuffer()
            let kept = UInt32(flags) & OpenFlags.nonBlocking
            try storePair(
                PipeFile(source: buffer, sink: nil, flags: kept),
                PipeFile(source: nil, sink: buffer, flags: kept | OpenFlags.writeOnly),
                closesOnExec: flags & UInt64(OpenFlags.closeOnExec) != 0, at: address)
            return 0
        }

        static func storePair(
            _ first: OpenFile, _ second: OpenFile, closesOnExec: Bool, at address: UInt64
        ) throws(Errno) {
            let one = try Descriptors.add(first, closesOnExec: closesOnExec)
            let two: Int64
            do throws(Errno) {
                two = try Descriptors.add(second, closesOnExec: closesOnExec)
            } catch {
                try? Descriptors.close(UInt64(one))
                throw error
            }
            try UserMemory.store(Int32(one), at: address)
            try UserMemory.store(Int32(two), at: address &+ 4)
        }

        static func makeEvent(_ count: UInt64, _ flags: UInt64) throws(Errno) -> Int64 {
            let known = UInt64(OpenFlags.nonBlocking | OpenFlags.closeOnExec) | 1
            guard flags & ~known == 0 else { throw .invalid }
            return try Descriptors.add(
                EventFile(
                    count: count & 0xFFFF_FFFF, isSemaphore: flags & 1 != 0,
                    flags: OpenFlags.readWrite | UInt32(flags) & OpenFlags.nonBlocking),
                closesOnExec: flags & UInt64(OpenFlags.closeOnExec) != 0)
        }

        static func synchronise(_ a: Arguments) throws(Errno) -> Int64 {
            _ = try Descriptors.file(a.a)
            return 0
        }

        static func folderEntries(_ a: Arguments) throws(Errno) -> Int64 {
            guard let file = try Descriptors.file(a.a).asNode else { throw .notDirectory }
            return try file.entries(to: a.b, count(a.c))
        }
    }
#endif
