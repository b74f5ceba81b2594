// Waiting for many files: poll(2), select(2), epoll_create(2), epoll_ctl(2), epoll_wait(2).

import CSwiftletMachine
import SwiftletMachine

#if hasFeature(Embedded)
    extension Calls {
        private static let invalidDescriptor: UInt32 = 0x20
        /// POLLRDNORM and POLLWRNORM go with POLLIN and POLLOUT.
        private static func widened(_ events: UInt32) -> UInt32 {
            (events & PollEvents.input != 0 ? 0x40 : 0)
                | (events & PollEvents.output != 0 ? 0x100 : 0) | events
        }

        static func poll(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            let milliseconds = Int32(truncatingIfNeeded: a.c)
            return try poll(
                a.a, a.b, milliseconds < 0 ? nil : UInt64(milliseconds) * 1_000_000, thread)
        }

        /// ppoll(2).
        static func pollWithMask(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            try setMask(a.d, thread)
            return try poll(a.a, a.b, a.c == 0 ? nil : try loadTime(a.c), thread)
        }

        /// For the time of a call the thread has another mask of signals.
        static func setMask(_ address: UInt64, _ thread: LinuxThread) throws(Errno) {
            guard address != 0, !thread.wait.hasStarted else { return }
            let mask: UInt64 = try UserMemory.load(address)
            thread.wait.savedMask = thread.signals.mask
            thread.signals.mask = mask & ~Signal.unmaskable
        }

        private static func poll(
            _ address: UInt64, _ number: UInt64, _ nanoseconds: UInt64?, _ thread: LinuxThread
        ) throws(Errno) -> Int64 {
            guard number <= UInt64(Descriptors.limit) else { throw .invalid }
            var count: Int64 = 0
            for index in 0..<number {
                let place = address &+ index * 8
                let descriptor: Int32 = try UserMemory.load(place)
                let wanted: UInt16 = try UserMemory.load(place &+ 4)
                var found: UInt32 = 0
                if descriptor >= 0 {
                    if let file = try? Descriptors.file(UInt64(descriptor)) {
                        found =
                            widened(file.events(UInt32(wanted)))
                            & (UInt32(wanted) | PollEvents.always)
                    } else {
                        found = invalidDescriptor
                    }
                }
                try UserMemory.store(UInt16(truncatingIfNeeded: found), at: place &+ 6)
                if found != 0 { count += 1 }
            }
            if count > 0 || nanoseconds == 0 || thread.wait.hasTimedOut { return count }
            thread.setDeadline(after: nanoseconds)
            for index in 0..<number {
                let descriptor: Int32 = try UserMemory.load(address &+ index * 8)
                if descriptor >= 0, let file = try? Descriptors.file(UInt64(descriptor)) {
                    file.waiters.add(thread)
                }
            }
            throw .suspended
        }

        /// select(2) and pselect(2): sets of bits, changed in place at the end alone.
        static func select(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            let isMasked = thread.frame.registers.rax == 270
            guard a.a <= 1024 else { throw .invalid }
            if isMasked, a.f != 0 { try setMask(try UserMemory.load(a.f), thread) }
            var nanoseconds: UInt64?
            if a.e != 0 {
                if isMasked {
                    nanoseconds = try loadTime(a.e)
                } else {
                    let seconds: UInt64 = try UserMemory.load(a.e)
                    let microseconds: UInt64 = try UserMemory.load(a.e &+ 8)
                    guard seconds < 1 << 32, microseconds < 1 << 40 else { throw .invalid }
                    nanoseconds = seconds * second + microseconds * 1000
                }
            }
            let sets = [a.b, a.c, a.d]
            let wanted = [
                PollEvents.input | PollEvents.hangUp, PollEvents.output | PollEvents.error, 0,
            ]
            let size = (Int(a.a) + 63) / 64 * 8
            var results: [[UInt8]] = []
            var files: [OpenFile] = []
            var count: Int64 = 0
            for (index, address) in sets.enumerated() {
                var result = [UInt8](repeating: 0, count: size)
                if address != 0 {
                    let set = try UserMemory.array(address, size)
                    for number in 0..<Int(a.a)
                    where set[number / 8] & 1 << UInt8(number % 8) != 0 {
                        let file = try Descriptors.file(UInt64(number))
                        files.append(file)
                        if file.events(wanted[index]) & wanted[index] != 0 {
                            result[number / 8] |= 1 << UInt8(number % 8)
                            count += 1
                        }
                    }
                }
                results.append(result)
            }
            guard count > 0 || nanoseconds == 0 || thread.wait.hasTimedOut else {
                thread.setDeadline(after: nanoseconds)
                for file in files { file.waiters.add(thread) }
                throw .suspended
            }
            for (index, address) in sets.enumerated() where address != 0 {
                try UserMemory.copy(results[index], to: address)
            }
            return count
        }

        static func makeEpoll(_ flags: UInt64) throws(Errno) -> Int64 {
            guard flags & ~UInt64(OpenFlags.closeOnExec) == 0 else { throw .invalid }
            return try Descriptors.add(EpollFile(), closesOnExec: flags != 0)
        }

        private static func epoll(_ descriptor: UInt64) throws(Errno) -> EpollFile {
            guard let file = try Descriptors.file(descriptor).asEpoll else { throw .invalid }
            return file
        }

        static func controlEpoll(_ a: Arguments) throws(Errno) -> Int64 {
            try epoll(a.a).control(a.b, a.c, a.d)
            return 0
        }

        static func waitForEvents(
            _ a: Arguments, _ thread: LinuxThread, milliseconds: Int32
        ) throws(Errno) -> Int64 {
            try Descriptors.unretained(a.a).with { (file) throws(Errno) in
                guard let epoll = file.asEpoll else { throw .invalid }
                if thread.frame.registers.rax == 281 { try setMask(a.e, thread) }
                return try epoll.wait(
                    thread, a.b, Int(Int32(truncatingIfNeeded: a.c)),
                    timeout: milliseconds < 0 ? -1 : Int64(milliseconds) * 1_000_000)
            }
        }
    }
#endif
