// Standard input as sequences: its octets, and its lines.
//
// They do not throw, as the protocols would make of it an `any Error`, which Embedded Swift does not
// have: they end. Whoever wants to know why uses `read`.

import _Concurrency

#if hasFeature(Embedded)
    extension StandardInput {
        /// The octets, one by one:
        ///
        ///     for await octet in StandardInput.bytes { … }
        ///
        /// They end with the input, and where `read` throws.
        public static var bytes: Bytes { Bytes() }

        /// The lines, without their ends (LF, or CR and LF). What is not UTF-8 becomes U+FFFD. The
        /// last line may lack its end.
        ///
        ///     for await line in StandardInput.lines() { … }
        ///
        /// They end with the input, and where `read` throws.
        ///
        /// - Parameter longest: octets of a line, at least one; a longer one comes in parts of so
        ///   many octets.
        public static func lines(longest: Int = 65536) -> Lines { Lines(longest: max(longest, 1)) }

        /// The octets of the input.
        public struct Bytes: AsyncSequence, Sendable {
            public struct AsyncIterator: AsyncIteratorProtocol {
                private var buffer = InputBuffer()

                fileprivate init() {}

                /// The next octet; nil at the end.
                public mutating func next() async -> UInt8? {
                    if buffer.isEmpty, await !buffer.fill() { return nil }
                    return buffer.takeFirst()
                }
            }

            public func makeAsyncIterator() -> AsyncIterator { AsyncIterator() }
        }

        /// The lines of the input.
        public struct Lines: AsyncSequence, Sendable {
            fileprivate let longest: Int

            public struct AsyncIterator: AsyncIteratorProtocol {
                private var buffer = InputBuffer()
                private let longest: Int

                fileprivate init(longest: Int) { self.longest = longest }

                /// The next line; nil at the end.
                public mutating func next() async -> String? {
                    while true {
                        if let line = buffer.takeLine(longest) { return line }
                        guard await buffer.fill() else { return buffer.takeRest() }
                    }
                }
            }

            public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(longest: longest) }
        }
    }

    /// Octets that were read and not yet given on.
    private struct InputBuffer {
        private var octets: [UInt8] = []
        private var start = 0
        /// Octets from `start` on that are known to hold no end of a line.
        private var searched = 0

        var isEmpty: Bool { start == octets.count }

        /// Reads more; false at the end.
        mutating func fill() async -> Bool {
            do throws(StandardInputError) {
                return try await StandardInput.read(into: &octets)
            } catch {
                return false
            }
        }

        @inline(never)
        mutating func takeFirst() -> UInt8 {
            let octet = octets[start]
            drop(1)
            return octet
        }

        /// The first line, or part of it; nil if more is to come.
        @inline(never)
        mutating func takeLine(_ longest: Int) -> String? {
            var end = start + searched
            let limit = min(octets.count, start + longest)
            while end < limit, octets[end] != 0x0A { end += 1 }
            searched = end - start
            // What follows must be known, even behind the longest part: it may be the line's end.
            guard end < octets.count else { return nil }
            return take(searched, lineEnd: octets[end] == 0x0A ? 1 : 0)
        }

        /// What stands behind the last line's end; nil if nothing does.
        @inline(never)
        mutating func takeRest() -> String? {
            isEmpty ? nil : take(octets.count - start, lineEnd: 0)
        }

        private mutating func take(_ count: Int, lineEnd: Int) -> String {
            var end = start + count
            if lineEnd > 0, count > 0, octets[end - 1] == 0x0D { end -= 1 }
            let line = String(decoding: octets[start..<end], as: UTF8.self)
            drop(count + lineEnd)
            return line
        }

        private mutating func drop(_ count: Int) {
            start += count
            searched = 0
            if start == octets.count {
                octets.removeAll(keepingCapacity: true)
                start = 0
            } else if start >= 65536 {
                octets.removeFirst(start)
                start = 0
            }
        }
    }
#endif
