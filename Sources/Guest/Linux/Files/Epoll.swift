// epoll(7): a set of files, and a list of those that may be ready.

#if hasFeature(Embedded)
    /// A file in an epoll instance.
    final class EpollWatch {
        /// Neither is closed before it has let go of this.
        let epoll: Unmanaged<EpollFile>
        let file: Unmanaged<OpenFile>
        let descriptor: UInt64
        /// What is told, errors and hang-up always; 0 once it was told that was to be told once.
        var events: UInt32
        var data: UInt64
        var isListed = false
        var isGone = false

        init(
            _ epoll: EpollFile, _ file: OpenFile, _ descriptor: UInt64, _ events: UInt32,
            _ data: UInt64
        ) {
            self.epoll = Unmanaged.passUnretained(epoll)
            self.file = Unmanaged.passUnretained(file)
            self.descriptor = descriptor
            self.events = events
            self.data = data
        }
    }

    extension Unmanaged<EpollWatch> {
        /// The file may be ready.
        @inline(__always)
        func markReady() {
            let epoll = borrowed { $0.epoll }
            epoll.borrowed { $0.markReady(self) }
        }

        /// The file is closed.
        func forget() {
            let epoll = borrowed { $0.epoll }
            epoll.borrowed { $0.forget(self) }
        }

        /// What of the file is wanted and there.
        @inline(__always)
        var found: UInt32 {
            borrowed { watch in
                let wanted = watch.events
                return watch.file.borrowed { $0.events(wanted) } & wanted
                    & 0x3FFF_FFFF
            }
        }
    }

    /// An epoll instance. Only files on its list are asked: those that have changed, and those that
    /// were ready the last time (level-triggered).
    final class EpollFile: OpenFile {
        private static let edgeTriggered: UInt32 = 1 << 31
        private static let oneShot: UInt32 = 1 << 30
        /// struct epoll_event is packed on x86-64.
        static let eventSize = 12
        private static let mostNested = 5

        private var members = PlainList<EpollWatch>()
        private var ready = PlainList<Unmanaged<EpollWatch>>()
        /// The list while it is gone through.
        private var listed = PlainList<Unmanaged<EpollWatch>>()

        override var asEpoll: EpollFile? { self }

        init() { super.init(flags: OpenFlags.readWrite) }

        deinit {
            members.free()
            ready.free()
            listed.free()
        }

        /// epoll_ctl(2).
        func control(
            _ operation: UInt64, _ descriptor: UInt64, _ event: UInt64
        ) throws(Errno) {
            let file = try Descriptors.file(descriptor)
            guard file !== self else { throw .invalid }
            if file.asNode != nil { throw .notPermitted }
            let reference = Unmanaged.passUnretained(file)
            let index = members.firstIndex {
                $0.descriptor == descriptor && $0.file.isSame(reference)
            }
            switch operation {
            case 1:
                guard index == nil else { throw .exists }
                if let inner = file.asEpoll {
                    guard !inner.leads(to: self), inner.depth + height <= Self.mostNested else {
                        throw .loop
                    }
                }
                let watch = EpollWatch(
                    self, file, descriptor, try Self.events(at: event),
                    try UserMemory.load(event &+ 4))
                members.append(watch)
                file.watches.append(watch)
                markReady(members.unretained(members.count - 1))
            case 2:
                guard let index else { throw .noEntry }
                let watch = members[index]
                if let place = file.watches.firstIndex(of: watch) {
                    file.watches.remove(at: place)
                }
                forget(Unmanaged.passUnretained(watch))
            case 3:
                guard let index else { throw .noEntry }
                members[index].events = try Self.events(at: event)
                members[index].data = try UserMemory.load(event &+ 4)
                markReady(members.unretained(index))
            default: throw .invalid
            }
        }

        private static func events(at address: UInt64) throws(Errno) -> UInt32 {
            try UserMemory.load(address) | PollEvents.always
        }

        // Instances in instances. Events go up from each to those that it is in.

        private var innerOnes: [EpollFile] {
            var found: [EpollFile] = []
            for index in members.indices {
                if let inner = members[index].file.borrowed({ $0.asEpoll }) { found.append(inner) }
            }
            return found
        }

        private func leads(to other: EpollFile) -> Bool {
            self === other || innerOnes.contains { $0.leads(to: other) }
        }

        /// How many stand in each other, from this one on inwards.
        private var depth: Int { innerOnes.reduce(1) { max($0, $1.depth + 1) } }

        /// The same outwards.
        private var height: Int {
            var most = 1
            for index in watches.indices {
                most = max(most, watches[index].epoll.borrowed { $0.height } + 1)
            }
            return most
        }

        @inline(never)
        func markReady(_ reference: Unmanaged<EpollWatch>) {
            let isNew = reference.borrowed { watch in
                defer { watch.isListed = true }
                return !watch.isListed && !watch.isGone
            }
            guard isNew else { return }
            ready.append(reference)
            // The instance may be in another one, or be waited for.
            notify()
        }

        func forget(_ reference: Unmanaged<EpollWatch>) {
            if let index = ready.firstIndex(where: { $0.isSame(reference) }) {
                ready.remove(at: index)
            }
            reference.borrowed { $0.isGone = true }
            for index in members.indices where members.unretained(index).isSame(reference) {
                members.remove(at: index)
                return
            }
        }

        /// epoll_wait(2): writes at most `most` events.
        func wait(
            _ thread: LinuxThread, _ events: UInt64, _ most: Int, timeout: Int64
        ) throws(Errno) -> Int64 {
            guard most > 0, most <= Int(Int32.max) / Self.eventSize else { throw .invalid }
            var count = 0
            if !ready.isEmpty {
                swap(&ready, &listed)
                defer { listed.removeAll() }
                for index in listed.indices {
                    let reference = listed[index]
                    if count == most {
                        ready.append(reference)
                        continue
                    }
                    let found = reference.found
                    guard found != 0 else {
                        reference.borrowed { $0.isListed = false }
                        continue
                    }
                    do throws(Errno) {
                        try store(reference, found, at: events &+ UInt64(count * Self.eventSize))
                    } catch {
                        // Nothing is lost by an address that is none.
                        for rest in index..<listed.count { ready.append(listed[rest]) }
                        guard count > 0 else { throw error }
                        return Int64(count)
                    }
                    count += 1
                }
            }
            if count > 0 || timeout == 0 || thread.wait.hasTimedOut { return Int64(count) }
            thread.setDeadline(after: timeout < 0 ? nil : UInt64(timeout))
            waiters.add(thread)
            throw .suspended
        }

        /// Tells an event, and keeps the watch on the list if the program wants to be told again.
        @inline(__always)
        private func store(
            _ reference: Unmanaged<EpollWatch>, _ found: UInt32, at place: UInt64
        ) throws(Errno) {
            let (wanted, data) = reference.borrowed { ($0.events, $0.data) }
            try UserMemory.store(found, at: place)
            try UserMemory.store(data, at: place &+ 4)
            if wanted & (Self.oneShot | Self.edgeTriggered) == 0 {
                return ready.append(reference)
            }
            reference.borrowed { watch in
                watch.isListed = false
                if wanted & Self.oneShot != 0 { watch.events = 0 }
            }
        }

        override func events(_ wanted: UInt32) -> UInt32 {
            for index in ready.indices where ready[index].found != 0 { return PollEvents.input }
            return 0
        }

        override func close() {
            for index in members.indices {
                let watch = members[index]
                watch.isGone = true
                watch.file.borrowed { file in
                    if let place = file.watches.firstIndex(of: watch) {
                        file.watches.remove(at: place)
                    }
                }
            }
            ready.removeAll()
            members.removeAll()
        }
    }
#endif
