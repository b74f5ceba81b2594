// An open file description (open(2)): what descriptors name, whatever lies behind it.

import SwiftletMachine
import SwiftletRuntime

#if hasFeature(Embedded)
    /// Flags of open(2) and fcntl(2), as x86-64 has them.
    enum OpenFlags {
        static let accessMode: UInt32 = 3
        static let writeOnly: UInt32 = 1
        static let readWrite: UInt32 = 2
        static let create: UInt32 = 0x40
        static let exclusive: UInt32 = 0x80
        static let truncate: UInt32 = 0x200
        static let append: UInt32 = 0x400
        static let nonBlocking: UInt32 = 0x800
        static let directory: UInt32 = 0x10000
        static let noFollow: UInt32 = 0x20000
        static let closeOnExec: UInt32 = 0x80000
        static let path: UInt32 = 0x200000
    }

    /// Events of poll(2) and epoll(7).
    enum PollEvents {
        static let input: UInt32 = 0x1
        static let output: UInt32 = 0x4
        static let error: UInt32 = 0x8
        static let hangUp: UInt32 = 0x10
        static let readHangUp: UInt32 = 0x2000
        static let always = error | hangUp
        /// POLLOUT and POLLWRNORM.
        static let anyOutput = output | 0x100
    }

    /// What fstat(2) tells of a file.
    struct FileStatus {
        var inode: UInt64 = 1
        var mode: UInt32
        var links: UInt64 = 1
        var size: UInt64 = 0
        var device: UInt64 = 0
        /// Nanoseconds since 1970.
        var modified: UInt64 = 0

        static let pipe: UInt32 = 0o010000
        static let character: UInt32 = 0o020000
        static let directory: UInt32 = 0o040000
        static let regular: UInt32 = 0o100000
        static let link: UInt32 = 0o120000
        static let socket: UInt32 = 0o140000
    }

    /// The base of all open files; what a kind of file does not have is an error.
    class OpenFile {
        /// Access mode and status flags (F_GETFL).
        var flags: UInt32
        /// Descriptors that name it.
        var descriptorCount = 0
        /// Threads that wait for any change.
        var waiters = WaitQueue()
        /// Its entries in epoll instances.
        var watches = PlainList<EpollWatch>()

        init(flags: UInt32) { self.flags = flags }

        deinit {
            waiters.free()
            watches.free()
        }

        final var isNonBlocking: Bool { flags & OpenFlags.nonBlocking != 0 }
        final var isReadable: Bool { flags & OpenFlags.accessMode != OpenFlags.writeOnly }
        final var isWritable: Bool { flags & OpenFlags.accessMode != 0 }

        /// Reads into the program's memory. Throws `.again` when nothing is there yet.
        func read(to address: UInt64, _ count: Int) throws(Errno) -> Int { throw .invalid }
        /// Writes from the program's memory. Throws `.again` when there is no room.
        func write(from address: UInt64, _ count: Int) throws(Errno) -> Int { throw .invalid }
        /// The same with octets that are not the program's (sendfile(2)).
        func put(_ bytes: RawSpan) throws(Errno) -> Int { throw .invalid }
        /// Of datagrams, which go and come as a whole: all parts at once. Nil: one part after the other.
        func read(whole parts: [VectorPart]) throws(Errno) -> Int? { nil }
        func write(whole parts: [VectorPart]) throws(Errno) -> Int? { nil }
        func read(at offset: UInt64, to address: UInt64, _ count: Int) throws(Errno) -> Int {
            throw .illegalSeek
        }
        func write(at offset: UInt64, from address: UInt64, _ count: Int) throws(Errno) -> Int {
            throw .illegalSeek
        }
        func seek(_ offset: Int64, _ origin: Int32) throws(Errno) -> Int64 { throw .illegalSeek }
        func truncate(_ size: UInt64) throws(Errno) { throw .invalid }
        func control(_ request: UInt32, _ argument: UInt64) throws(Errno) -> Int64 {
            throw .notTerminal
        }
        func status() -> FileStatus { FileStatus(mode: FileStatus.character | 0o666) }
        /// What poll(2) finds now. Of what is not in `wanted` the dear parts may be left out.
        func events(_ wanted: UInt32) -> UInt32 { PollEvents.input | PollEvents.output }
        /// The last descriptor is closed.
        func close() {}
        /// The file system's node behind it.
        var node: Node? { nil }
        // Which kind it is, for calls that go for one kind alone.
        var asNode: NodeFile? { nil }
        var asEpoll: EpollFile? { nil }
        var asTimer: TimerFile? { nil }
        var asSignal: SignalFile? { nil }
        var asPipe: PipeFile? { nil }
        var asSocket: SocketFile? { nil }
        var asDatagrams: DatagramSocket? { nil }

        /// Something has changed: whoever waits looks again.
        final func notify() {
            waiters.wakeAll()
            for index in watches.indices { watches.unretained(index).markReady() }
        }

        /// Makes a call that may have to wait: if it cannot go on, the thread does, until `notify`,
        /// unless the file is non-blocking.
        final func blocking(
            _ thread: LinuxThread, nonBlocking: Bool = false,
            _ body: () throws(Errno) -> Int
        ) throws(Errno) -> Int {
            do throws(Errno) {
                return try body()
            } catch {
                guard error == .again, !isNonBlocking, !nonBlocking, !thread.wait.hasTimedOut
                else { throw error }
                waiters.add(thread)
                throw .suspended
            }
        }
    }

    /// Standard output and error: the console.
    final class ConsoleFile: OpenFile {
        override func write(from address: UInt64, _ count: Int) throws(Errno) -> Int {
            try UserMemory.withBytes(address, count) { (bytes) throws(Errno) in try put(bytes) }
        }

        override func put(_ bytes: RawSpan) throws(Errno) -> Int {
            writeToConsole(bytes)
            return bytes.byteCount
        }
    }

    /// The table of descriptors.
    enum Descriptors {
        private struct Entry {
            /// Held by this.
            var file: Unmanaged<OpenFile>
            var closesOnExec: Bool
        }

        /// RLIMIT_NOFILE.
        static let limit = 4096

        nonisolated(unsafe) private static var entries = PlainList<Entry?>()

        @inline(__always)
        static func file(_ number: UInt64) throws(Errno) -> OpenFile {
            guard number < UInt64(entries.count), let entry = entries[Int(number)] else {
                throw .badDescriptor
            }
            return entry.file.takeUnretainedValue()
        }

        /// The same for a call during which nobody closes it.
        @inline(__always)
        static func unretained(_ number: UInt64) throws(Errno) -> Unmanaged<OpenFile> {
            guard number < UInt64(entries.count), let entry = entries[Int(number)] else {
                throw .badDescriptor
            }
            return entry.file
        }

        static func add(
            _ file: OpenFile, closesOnExec: Bool = false, from lowest: Int = 0
        ) throws(Errno) -> Int64 {
            guard lowest < limit else { throw .invalid }
            var number = lowest
            while number < entries.count, entries[number] != nil { number += 1 }
            guard number < limit else { throw .tooManyFiles }
            put(file, number, closesOnExec)
            return Int64(number)
        }

        private static func put(_ file: OpenFile, _ number: Int, _ closesOnExec: Bool) {
            while entries.count <= number { entries.append(nil) }
            file.descriptorCount += 1
            entries[number] = Entry(file: .passRetained(file), closesOnExec: closesOnExec)
        }

        /// As dup3(2): whatever `number` named is closed.
        static func replace(_ number: UInt64, by file: OpenFile, closesOnExec: Bool) throws(Errno) {
            guard number < UInt64(limit) else { throw .badDescriptor }
            if number < UInt64(entries.count), entries[Int(number)] != nil { try close(number) }
            put(file, Int(number), closesOnExec)
        }

        static func close(_ number: UInt64) throws(Errno) {
            let file = try unretained(number).takeRetainedValue()
            entries[Int(number)] = nil
            file.descriptorCount -= 1
            guard file.descriptorCount == 0 else { return }
            for index in file.watches.indices { file.watches.unretained(index).forget() }
            file.watches.removeAll()
            file.close()
        }

        static func closesOnExec(_ number: UInt64) throws(Errno) -> Bool {
            _ = try file(number)
            return entries[Int(number)]?.closesOnExec ?? false
        }

        static func setClosesOnExec(_ number: UInt64, _ value: Bool) throws(Errno) {
            _ = try file(number)
            entries[Int(number)]?.closesOnExec = value
        }

        /// close_range(2): now, or when another program begins.
        static func closeRange(_ first: UInt64, _ last: UInt64, onExec: Bool) {
            var number = first
            while number < UInt64(entries.count), number <= last {
                if onExec { try? setClosesOnExec(number, true) } else { try? close(number) }
                number += 1
            }
        }
    }
#endif
