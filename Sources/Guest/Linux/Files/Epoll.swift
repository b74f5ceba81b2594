// epoll(7): a set of files, and a list of those that may be ready.

#if hasFeature(Embedded)
    /// A file in an epoll instance.
    final class EpollWatch {
        unowned(unsafe) let epoll: EpollFile
        unowned(unsafe) let file: OpenFile
        let descriptor: UInt64
        var events: UInt32
        var data: UInt64
        var isListed = false
        var isGone = false

        init(
            _ epoll: EpollFile, _ file: OpenFile, _ descriptor: UInt64, _ events: UInt32,
            _ data: UInt64
        ) {
            self.epoll = epoll
            self.file = file
            self.descriptor = descriptor
            self.events = events
            self.data = data
        }
    }

    /// An epoll instance. Only files on its list are asked: those that have changed, and those that
    /// were ready the last time (level-triggered).
    final class EpollFile: OpenFile {
        private static let edgeTriggered: UInt32 = 1 << 31
        private static let oneShot: UInt32 = 1 << 30
        /// struct epoll_event is packed on x86-64.
        static let eventSize = 12

        private var members: [EpollWatch] = []
        private var ready: [EpollWatch] = []
        /// The list while it is gone through. Both keep their storage.
        private var listed: [EpollWatch] = []

        override var asEpoll: EpollFile? { self }

        init() { super.init(flags: OpenFlags.readWrite) }

        /// epoll_ctl(2).
        func control(
            _ operation: UInt64, _ descriptor: UInt64, _ event: UInt64
        ) throws(Errno) {
            let file = try Descriptors.file(descriptor)
            guard file !== self else { throw .invalid }
            if file.asNode != nil { throw .notPermitted }
            let index = members.firstIndex { $0.descriptor == descriptor && $0.file === file }
            switch operation {
            case 1:
                guard index == nil else { throw .exists }
                let watch = EpollWatch(
                    self, file, descriptor, try UserMemory.load(event),
                    try UserMemory.load(event &+ 4))
                members.append(watch)
                file.watches.append(watch)
                markReady(watch)
            case 2:
                guard let index else { throw .noEntry }
                let watch = members[index]
                watch.file.watches.removeAll { $0 === watch }
                forget(watch)
            case 3:
                guard let index else { throw .noEntry }
                members[index].events = try UserMemory.load(event)
                members[index].data = try UserMemory.load(event &+ 4)
                markReady(members[index])
            default: throw .invalid
            }
        }

        /// The file may be ready.
        @inline(never)
        func markReady(_ watch: EpollWatch) {
            guard !watch.isListed, !watch.isGone else { return }
            watch.isListed = true
            ready.append(watch)
            // The instance may be in another one, or be waited for.
            notify()
        }

        func forget(_ watch: EpollWatch) {
            watch.isGone = true
            members.removeAll { $0 === watch }
            ready.removeAll { $0 === watch }
        }

        /// epoll_wait(2): writes at most `most` events.
        func wait(
            _ thread: LinuxThread, _ events: UInt64, _ most: Int, timeout: Int64
        ) throws(Errno) -> Int64 {
            guard most > 0, most <= Int(Int32.max) / Self.eventSize else { throw .invalid }
            var count = 0
            if !ready.isEmpty {
                swap(&ready, &listed)
                defer { listed.removeAll(keepingCapacity: true) }
                for index in listed.indices {
                    let watch = listed[index]
                    if count == most {
                        ready.append(watch)
                        continue
                    }
                    watch.isListed = false
                    let found = watch.file.events() & (watch.events | PollEvents.always)
                    guard found & 0x3FFF_FFFF != 0 else { continue }
                    let place = events &+ UInt64(count * Self.eventSize)
                    do throws(Errno) {
                        try UserMemory.store(found, at: place)
                        try UserMemory.store(watch.data, at: place &+ 4)
                    } catch {
                        // Nothing is lost by an address that is none.
                        watch.isListed = true
                        ready += listed[index...]
                        guard count > 0 else { throw error }
                        return Int64(count)
                    }
                    count += 1
                    if watch.events & Self.oneShot != 0 {
                        watch.events = 0
                        watch.isListed = false
                    } else if watch.events & Self.edgeTriggered == 0 {
                        watch.isListed = true
                        ready.append(watch)
                    }
                }
            }
            if count > 0 || timeout == 0 || thread.wait.hasTimedOut { return Int64(count) }
            thread.setDeadline(after: timeout < 0 ? nil : UInt64(timeout))
            waiters.add(thread)
            throw .suspended
        }

        override func events() -> UInt32 {
            for watch in ready
            where watch.file.events() & (watch.events | PollEvents.always) & 0x3FFF_FFFF != 0 {
                return PollEvents.input
            }
            return 0
        }

        override func close() {
            for watch in members {
                watch.isGone = true
                watch.file.watches.removeAll { $0 === watch }
            }
            members = []
            ready = []
        }
    }
#endif
