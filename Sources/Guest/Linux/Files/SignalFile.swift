// Signals as a file (signalfd(2)): reading it takes the next one that the mask names.

#if hasFeature(Embedded)
    /// The signals of a mask, which mostly is blocked besides, so that nothing else takes them.
    final class SignalFile: OpenFile {
        /// Octets of struct signalfd_siginfo.
        private static let recordSize = 128

        nonisolated(unsafe) private static var all = PlainList<Unmanaged<SignalFile>>()

        private var mask: UInt64
        override var asSignal: SignalFile? { self }

        init(mask: UInt64, flags: UInt32) {
            self.mask = mask
            super.init(flags: flags)
            Self.all.append(Unmanaged.passUnretained(self))
        }

        func set(mask: UInt64) {
            self.mask = mask
            notify()
        }

        /// A signal has come: who waits for it looks again.
        static func note(_ bit: UInt64) {
            for index in all.indices {
                all[index].borrowed { if $0.mask & bit != 0 { $0.notify() } }
            }
        }

        private static var reader: LinuxThread? { Scheduler.current?.takeUnretainedValue() }

        override func read(to address: UInt64, _ size: Int) throws(Errno) -> Int {
            guard size >= Self.recordSize else { throw .invalid }
            guard let thread = Self.reader else { throw .again }
            var done = 0
            while size - done >= Self.recordSize {
                try UserMemory.checkWritable(address &+ UInt64(done), Self.recordSize)
                guard let signal = ProcessSignals.take(for: thread, from: mask) else { break }
                let place = address &+ UInt64(done)
                try UserMemory.clear(place, Self.recordSize)
                try UserMemory.store(signal.signal, at: place)
                try UserMemory.store(signal.code, at: place &+ 8)
                // The sender: this process, if anybody.
                try UserMemory.store(Int32(truncatingIfNeeded: signal.address), at: place &+ 12)
                done += Self.recordSize
            }
            guard done > 0 else { throw .again }
            return done
        }

        override func events(_ wanted: UInt32) -> UInt32 {
            let own = Self.reader?.signals.pendingBits ?? 0
            return (own | ProcessSignals.pendingBits) & mask != 0 ? PollEvents.input : 0
        }

        override func close() {
            let own = Unmanaged.passUnretained(self)
            if let index = Self.all.firstIndex(where: { $0.isSame(own) }) {
                Self.all.remove(at: index)
            }
        }
    }
#endif
