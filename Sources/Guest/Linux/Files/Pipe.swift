// Pipes (pipe(7)), and pairs of connected sockets (socketpair(2)), which are two of them.

#if hasFeature(Embedded)
    /// A ring of octets between a writer and a reader.
    final class PipeBuffer {
        /// As on Linux; what is not longer than `atomicSize` is written as a whole.
        static let capacity = 65536
        static let atomicSize = 4096

        private var octets: [UInt8] = []
        private var head = 0
        var hasWriter = true
        var hasReader = true
        /// The files at both ends, to be told of changes.
        unowned(unsafe) var writer: OpenFile?
        unowned(unsafe) var reader: OpenFile?

        var count: Int { octets.count - head }
        var room: Int { Self.capacity - count }

        func read(to address: UInt64, _ wanted: Int, peeks: Bool = false) throws(Errno) -> Int {
            try UserMemory.checkWritable(address, wanted)
            guard wanted > 0 else { return 0 }
            guard count > 0 else {
                if hasWriter { throw .again }
                return 0
            }
            let done = min(wanted, count)
            try copyFront(done, to: address)
            if peeks { return done }
            head += done
            if head == octets.count {
                octets.removeAll(keepingCapacity: true)
                head = 0
            } else if head >= Self.capacity {
                octets.removeFirst(head)
                head = 0
            }
            writer?.notify()
            return done
        }

        private func copyFront(_ count: Int, to address: UInt64) throws(Errno) {
            let octets = self.octets
            try UserMemory.copy(octets.span.bytes.extracting(head..<(head + count)), to: address)
        }

        /// How many of so many octets can be written now.
        private func acceptable(_ wanted: Int) throws(Errno) -> Int {
            guard hasReader else { throw .brokenPipe }
            guard room >= (wanted <= Self.atomicSize ? wanted : 1) else { throw .again }
            return min(wanted, room)
        }

        func write(from address: UInt64, _ wanted: Int) throws(Errno) -> Int {
            let done = try acceptable(wanted)
            guard done > 0 else { return 0 }
            octets += try UserMemory.array(address, done)
            reader?.notify()
            return done
        }

        func write(_ bytes: RawSpan) throws(Errno) -> Int {
            let done = try acceptable(bytes.byteCount)
            octets += bytes.array(0..<done)
            reader?.notify()
            return done
        }

        func closeReader() {
            hasReader = false
            reader = nil
            writer?.notify()
        }

        func closeWriter() {
            hasWriter = false
            writer = nil
            reader?.notify()
        }
    }

    /// One end of a pipe, or of a pair of sockets: what it reads from, what it writes to.
    final class PipeFile: OpenFile {
        private let source: PipeBuffer?
        private let sink: PipeBuffer?
        let isSocket: Bool
        override var asPipe: PipeFile? { self }

        init(source: PipeBuffer?, sink: PipeBuffer?, flags: UInt32, isSocket: Bool = false) {
            self.source = source
            self.sink = sink
            self.isSocket = isSocket
            super.init(flags: flags)
            source?.reader = self
            sink?.writer = self
        }

        override func read(to address: UInt64, _ count: Int) throws(Errno) -> Int {
            guard let source else { throw .badDescriptor }
            return try source.read(to: address, count)
        }

        func receive(to address: UInt64, _ count: Int, peeks: Bool) throws(Errno) -> Int {
            guard let source else { throw .badDescriptor }
            return try source.read(to: address, count, peeks: peeks)
        }

        override func write(from address: UInt64, _ count: Int) throws(Errno) -> Int {
            guard let sink else { throw .badDescriptor }
            return try sink.write(from: address, count)
        }

        override func put(_ bytes: RawSpan) throws(Errno) -> Int {
            guard let sink else { throw .badDescriptor }
            return try sink.write(bytes)
        }

        override func control(_ request: UInt32, _ argument: UInt64) throws(Errno) -> Int64 {
            guard request == 0x541B, let source else { throw .notTerminal }
            try UserMemory.store(Int32(source.count), at: argument)
            return 0
        }

        override func events(_ wanted: UInt32) -> UInt32 {
            var events: UInt32 = 0
            if let source {
                if source.count > 0 { events |= PollEvents.input }
                if !source.hasWriter {
                    events |= PollEvents.hangUp
                    if isSocket { events |= PollEvents.input | PollEvents.readHangUp }
                }
            }
            if let sink {
                if !sink.hasReader { events |= PollEvents.error }
                if sink.room >= PipeBuffer.atomicSize { events |= PollEvents.output }
            }
            return events
        }

        override func status() -> FileStatus {
            FileStatus(mode: (isSocket ? FileStatus.socket : FileStatus.pipe) | 0o600)
        }

        /// shutdown(2) of a pair.
        func shutDown(reading: Bool, writing: Bool) {
            if reading { source?.closeReader() }
            if writing { sink?.closeWriter() }
        }

        override func close() {
            source?.closeReader()
            sink?.closeWriter()
        }
    }
#endif
