// Standard input as the event loop has it: the console device's octets, taken when a reader wants
// them, so that what nobody reads stays with the host.

import SwiftletBootProtocol
import SwiftletMachine
import SwiftletVirtio

#if hasFeature(Embedded)
    /// What `swiftlet run -i` passes on. Linked only where somebody reads.
    public final class InputQueue: EventSource {
        private enum State { case unknown, absent, open }

        nonisolated(unsafe) private static var state = State.unknown
        nonisolated(unsafe) private static var instance: InputQueue?
        /// Told when a reader who found nothing is to look again.
        nonisolated(unsafe) public static var tell: (@convention(c) () -> Void)?

        /// It lives as long as the machine.
        private let console: UnsafeMutablePointer<VirtioConsole>
        private var pieces = InputPieces()
        /// A reader has found nothing. Otherwise nothing need wake the machine.
        private var isWanted = false
        /// The device broke a rule; it is asked no more.
        public private(set) var isBroken = false

        /// The machine's input, opened if it was not; nil if there is none, which is the same as one
        /// that is at its end.
        @inline(never)
        public static func shared() -> InputQueue? {
            if state == .unknown {
                state = .absent
                guard
                    let transport = VirtioBus.find(.console, commandLine: Boot.commandLine.bytes)
                else { return nil }
                do throws(VirtioError) {
                    let queue = InputQueue(try VirtioConsole(transport: transport))
                    instance = queue
                    state = .open
                    EventLoop.add(queue)
                } catch {
                    report(error)
                }
            }
            return instance
        }

        private init(_ device: consuming VirtioConsole) {
            console = .allocate(capacity: 1)
            console.initialize(to: device)
        }

        /// Says on the console why there is no input, or no more.
        private static func report(_ error: VirtioError) {
            StandardOutput.flush()
            Console.write("swiftlet: standard input: ")
            Console.write(error.reason)
            Console.write("\n")
        }

        /// Appends what has come to `octets`, so many at most.
        ///
        /// - Returns: how many; if none, more may come unless `hasEnded`.
        @inline(never)
        public func read(into octets: inout [UInt8], atMost maximum: Int) -> Int {
            var left = maximum
            while left > 0, !pieces.hasEnded,
                show({ stream, range in
                    let count = min(range.count, left)
                    stream.extracting(range.lowerBound..<(range.lowerBound + count)).withUnsafeBytes
                    {
                        octets.append(contentsOf: $0)
                    }
                    left -= count
                    return count
                })
            {}
            if left == maximum, !hasEnded { isWanted = true }
            return maximum - left
        }

        /// Whether a reader would find octets, or the end.
        @inline(never)
        public var isReady: Bool {
            var isFound = false
            while !isFound, !hasEnded,
                show({ _, range in
                    isFound = !range.isEmpty
                    return 0
                })
            {}
            if !isFound, !hasEnded { isWanted = true }
            return isFound || hasEnded
        }

        /// No more will come: the host's input has ended, or the device is broken.
        public var hasEnded: Bool { pieces.hasEnded || isBroken }

        /// Shows octets of a piece, the first of the stream; false if nothing has come.
        private func show(_ body: (RawSpan, Range<Int>) -> Int) -> Bool {
            let hasMore = console.pointee.read { stream in
                let range = pieces.next(in: stream)
                let count = body(stream, range)
                pieces.take(count)
                return range.lowerBound + count
            }
            if !hasMore, !isBroken, let failure = console.pointee.failure {
                isBroken = true
                InputQueue.report(failure)
            }
            return hasMore
        }

        // MARK: The event loop's side

        override public func poll(now: UInt64) -> Bool {
            if isWanted, isReady {
                isWanted = false
                InputQueue.tell?()
            }
            return false
        }

        override public func flush() { console.pointee.flush() }

        override public func armInterrupt() -> Bool { isWanted && console.pointee.armInterrupt() }

        override public func disarmInterrupt() { console.pointee.disarmInterrupt() }
    }
#endif
