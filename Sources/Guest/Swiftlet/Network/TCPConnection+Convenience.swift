// Connecting, reading and writing with arrays and strings.
//
// A file of its own: the linker keeps or drops the asynchronous functions of a file together, and
// servers that work on the connection's buffers need none of these.

import SwiftletNetwork
import SwiftletRuntime
import _Concurrency

#if hasFeature(Embedded)
    extension TCPConnection {
        /// Waits until octets can be read.
        ///
        /// - Returns: false at the end of the stream.
        /// - Throws: `.timedOut` past `deadline`, `.reset`, `.cancelled` when the task is.
        nonisolated(nonsending)
            public func waitUntilReadable(deadline: Instant?) async throws(NetworkError) -> Bool
        {
            while true {
                if let answer = try readability() { return answer }
                try await wait(deadline, at: network.readerPlace(id))
            }
        }

        /// Waits until `send` has room.
        ///
        /// - Throws: `.timedOut` past `deadline`, `.reset`, `.closed`, `.cancelled` when the task is.
        nonisolated(nonsending)
            public func waitUntilWritable(deadline: Instant?) async throws(NetworkError)
        {
            while network.stack.sendRoom(id) == 0 {
                if let failure { throw failure }
                try await wait(deadline, at: network.writerPlace(id))
            }
        }

        nonisolated(nonsending)
            private func wait(
                _ deadline: Instant?, at place: WaitPlace
            ) async throws(NetworkError)
        {
            try NetworkError.check(
                await Waits.cancellableWait(at: place, until: deadline?.nanoseconds ?? .max))
        }

        /// Opens a connection.
        ///
        /// - Throws: `.refused`, `.timedOut`, `.unreachable`, …
        public static func connect(
            to remote: SocketAddress, deadline: Instant? = nil
        ) async throws(NetworkError) -> TCPConnection {
            let network = try Network.shared()
            let id: TCPConnectionID
            do throws(TCPError) {
                id = try network.stack.connect(to: remote, now: network.now)
            } catch {
                throw NetworkError(error).noted()
            }
            let connection = TCPConnection(network: network, id: id)
            while network.stack.status(id).state == .synSent {
                try await connection.wait(deadline, at: network.writerPlace(id))
            }
            if let failure = connection.failure { throw failure.noted() }
            return connection
        }

        /// Reads what has arrived, at least one octet and at most `maximum`; nil at the end of the
        /// stream.
        public func read(
            upTo maximum: Int = 65536, deadline: Instant? = nil
        ) async throws(NetworkError) -> [UInt8]? {
            guard try await waitUntilReadable(deadline: deadline) else { return nil }
            let bytes = withReceived { received in
                let count = min(received.byteCount, max(maximum, 1))
                return [UInt8](unsafeUninitializedCapacity: count) { target, initialized in
                    received.withUnsafeBytes {
                        target.baseAddress.unsafelyUnwrapped.initialize(
                            from: $0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(
                                to: UInt8.self), count: count)
                    }
                    initialized = count
                }
            }
            consume(bytes.count)
            return bytes
        }

        /// Sends all of `bytes`, waiting for room as often as it takes.
        public func write(
            _ bytes: [UInt8], deadline: Instant? = nil
        ) async throws(NetworkError) {
            var sent = 0
            while sent < bytes.count {
                let count = send(bytes.span.bytes.extracting(sent..<bytes.count))
                sent += count
                if sent < bytes.count, count == 0 {
                    try await waitUntilWritable(deadline: deadline)
                }
            }
        }

        /// Sends a text, in UTF-8.
        public func write(_ text: String, deadline: Instant? = nil) async throws(NetworkError) {
            try await write([UInt8](text.utf8), deadline: deadline)
        }
    }

    extension NetworkError {
        /// Throws what ended a wait, unless it was the event that was waited for.
        static func check(_ result: WaitResult) throws(NetworkError) {
            switch result {
            case .woken: return
            case .timedOut: throw .timedOut
            case .cancelled: throw .cancelled
            }
        }
    }
#endif
