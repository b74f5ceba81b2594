// A program's standard input: what `swiftlet run -i` passes on, read as from a pipe.

import SwiftletRuntime

#if hasFeature(Embedded)
    /// Descriptor 0. The device is looked for when the program first reads, or asks whether it may.
    final class InputFile: OpenFile {
        /// The one that is told of news.
        nonisolated(unsafe) private static var instance: InputFile?

        init() {
            super.init(flags: 0)
            InputFile.instance = self
        }

        private var queue: InputQueue? {
            InputQueue.tell = { InputFile.instance?.notify() }
            return InputQueue.shared()
        }

        override func read(to address: UInt64, _ count: Int) throws(Errno) -> Int {
            try UserMemory.checkWritable(address, count)
            guard count > 0, let queue else { return 0 }
            var octets: [UInt8] = []
            let done = queue.read(into: &octets, atMost: min(count, PipeBuffer.capacity))
            guard done > 0 else {
                if queue.isBroken { throw .inputOutput }
                if queue.hasEnded { return 0 }
                throw .again
            }
            try UserMemory.copy(octets, to: address)
            return done
        }

        override func events(_ wanted: UInt32) -> UInt32 {
            guard let queue else { return super.events(wanted) }
            guard queue.isReady else { return 0 }
            return PollEvents.input | (queue.hasEnded ? PollEvents.hangUp : 0)
        }

        /// Without input it is what /dev/null is.
        override func status() -> FileStatus {
            queue == nil ? super.status() : FileStatus(mode: FileStatus.pipe | 0o600)
        }
    }
#endif
