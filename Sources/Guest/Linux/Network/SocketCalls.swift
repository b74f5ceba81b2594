// Sockets: socket(2), bind(2), listen(2), accept(2), connect(2), send(2), recv(2), sendmsg(2),
// recvmsg(2), shutdown(2), getsockname(2), getsockopt(2), setsockopt(2), socketpair(2).

import CSwiftletMachine
import SwiftletNetwork

#if hasFeature(Embedded)
    extension Calls {
        private enum Message {
            static let peek: UInt64 = 0x2
            static let dontWait: UInt64 = 0x40
            static let waitAll: UInt64 = 0x100
            static let truncated: UInt32 = 0x20
            static let noSignal: UInt64 = 0x4000
            /// Octets of struct msghdr.
            static let size = 56
        }

        private static func socket(_ descriptor: UInt64) throws(Errno) -> SocketFile {
            guard let socket = try Descriptors.file(descriptor).asSocket else {
                throw .notSocket
            }
            return socket
        }

        /// An end of a pair of sockets; nil if it is another file.
        private static func pair(_ descriptor: UInt64) throws(Errno) -> PipeFile? {
            guard let pipe = try Descriptors.file(descriptor).asPipe, pipe.isSocket else {
                return nil
            }
            return pipe
        }

        /// IPv4 (AF_INET) and IPv6 (AF_INET6).
        static func socket(_ a: Arguments) throws(Errno) -> Int64 {
            guard let number = UInt16(exactly: a.a), let family = AddressFamily(rawValue: number),
                family == .v4 || Features.ipv6
            else { throw .addressFamilyNotSupported }
            let flags = UInt32(truncatingIfNeeded: a.b)
            let kept = flags & OpenFlags.nonBlocking
            let network = try ProgramNetwork.shared()
            let socket: SocketFile
            switch (flags & 0xF, a.c) {
            case (1, 0), (1, 6):
                socket = StreamSocket(network: network, family: family, flags: kept)
            case (2, 0), (2, 17):
                socket = DatagramSocket(network: network, family: family, flags: kept)
            case (1...2, _): throw .protocolNotSupported
            case (3...10, _): throw .socketTypeNotSupported
            default: throw .invalid
            }
            return try Descriptors.add(
                socket, closesOnExec: flags & OpenFlags.closeOnExec != 0)
        }

        static func bind(_ a: Arguments) throws(Errno) -> Int64 {
            let socket = try socket(a.a)
            try socket.bind(try ProgramAddress(at: a.b, a.c))
            return 0
        }

        static func listen(_ a: Arguments) throws(Errno) -> Int64 {
            try socket(a.a).listen(backlog: Int(Int32(truncatingIfNeeded: a.b)))
            return 0
        }

        static func accept(
            _ descriptor: UInt64, _ address: UInt64, _ size: UInt64, _ flags: UInt64,
            _ thread: LinuxThread
        ) throws(Errno) -> Int64 {
            let known = UInt64(OpenFlags.nonBlocking | OpenFlags.closeOnExec)
            guard flags & ~known == 0 else { throw .invalid }
            let listener = try socket(descriptor)
            var client: SocketFile?
            _ = try listener.blocking(thread) { () throws(Errno) in
                client = try listener.accept(flags: UInt32(flags))
                return 0
            }
            guard let client else { throw .again }
            do throws(Errno) {
                try (client.peer ?? client.bound).store(
                    as: client.family, at: address, sizeAt: size)
                return try Descriptors.add(
                    client, closesOnExec: flags & UInt64(OpenFlags.closeOnExec) != 0)
            } catch {
                client.close()
                throw error
            }
        }

        static func connect(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            let socket = try socket(a.a)
            if try ProgramAddress.isUnspecified(at: a.b, a.c) {
                try socket.disconnect()
                return 0
            }
            let address = try ProgramAddress(at: a.b, a.c)
            let isSecond = socket.isConnecting
            do throws(Errno) {
                _ = try socket.blocking(thread) { () throws(Errno) in
                    try socket.connect(address)
                    return 0
                }
            } catch {
                guard error == .again else { throw error }
                throw isSecond ? .alreadyInProgress : .inProgress
            }
            return 0
        }

        static func send(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            if let pair = try pair(a.a) {
                return try transfer(pair, a.d, thread) { () throws(Errno) in
                    try pair.write(from: a.b, Int(min(a.c, 1 << 30)))
                }
            }
            let socket = try socket(a.a)
            if socket.type == 1, a.d & Message.dontWait == 0 {
                // All of it is queued before a blocking send returns.
                return try writeParts(
                    socket, [(a.b, Int(min(a.c, 1 << 30)))], thread,
                    isSilent: a.d & Message.noSignal != 0)
            }
            let peer = a.e == 0 ? nil : try ProgramAddress(at: a.e, a.f)
            return try transfer(socket, a.d, thread) { () throws(Errno) in
                try socket.send(from: a.b, Int(min(a.c, 1 << 30)), to: peer)
            }
        }

        /// One send; EPIPE comes with a signal unless the flags say no.
        private static func transfer(
            _ file: OpenFile, _ flags: UInt64, _ thread: LinuxThread,
            _ body: () throws(Errno) -> Int
        ) throws(Errno) -> Int64 {
            do throws(Errno) {
                return Int64(
                    try file.blocking(thread, nonBlocking: flags & Message.dontWait != 0, body))
            } catch {
                throw flags & Message.noSignal != 0 ? error : brokenPipe(error, thread)
            }
        }

        static func receive(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            let count = Int(min(a.c, 1 << 30))
            let peeks = a.d & Message.peek != 0
            let waitsForAll = a.d & Message.waitAll != 0 && !peeks
            if let pair = try pair(a.a) {
                return try receive(
                    pair, waitsForAll ? count : 1, a.d, thread
                ) { (done) throws(Errno) in
                    try pair.receive(to: a.b &+ UInt64(done), count - done, peeks: peeks)
                }
            }
            let socket = try socket(a.a)
            if waitsForAll, socket.type == 1 {
                return try receive(socket, count, a.d, thread) { (done) throws(Errno) in
                    try socket.read(to: a.b &+ UInt64(done), count - done)
                }
            }
            var sender: ProgramAddress?
            let done = try socket.blocking(
                thread, nonBlocking: a.d & Message.dontWait != 0
            ) { () throws(Errno) in
                let result = try socket.receive(to: a.b, count, peeks: peeks)
                sender = result.peer
                return a.d & UInt64(Message.truncated) != 0 ? result.length : result.count
            }
            if let sender { try sender.store(as: socket.family, at: a.e, sizeAt: a.f) }
            return Int64(done)
        }

        /// Receives until `least` octets are there, or the stream is at its end.
        ///
        /// - Parameter body: receives more, and is told how many there are.
        private static func receive(
            _ file: OpenFile, _ least: Int, _ flags: UInt64, _ thread: LinuxThread,
            _ body: (Int) throws(Errno) -> Int
        ) throws(Errno) -> Int64 {
            do throws(Errno) {
                repeat {
                    let done = thread.wait.progress
                    let more = try file.blocking(
                        thread, nonBlocking: flags & Message.dontWait != 0
                    ) { () throws(Errno) in try body(done) }
                    thread.wait.progress += more
                    if more == 0 { break }
                } while thread.wait.progress < least
            } catch {
                if error == .suspended || thread.wait.progress == 0 { throw error }
            }
            let done = thread.wait.progress
            thread.wait.progress = 0
            return Int64(done)
        }

        /// The words of a struct msghdr.
        private static func header(
            _ address: UInt64
        ) throws(Errno) -> (name: UInt64, nameSize: UInt32, parts: [VectorPart]) {
            let parts = try vectors(
                try UserMemory.load(address &+ 16), try UserMemory.load(address &+ 24))
            return (
                try UserMemory.load(address), try UserMemory.load(address &+ 8), parts
            )
        }

        static func sendMessage(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            let header = try header(a.b)
            let file = try Descriptors.file(a.a)
            guard let datagrams = file.asDatagrams else {
                guard try pair(a.a) != nil || file.asSocket != nil else { throw .notSocket }
                return try writeParts(
                    file, header.parts, thread, isSilent: a.c & Message.noSignal != 0,
                    nonBlocking: a.c & Message.dontWait != 0)
            }
            let peer =
                header.name == 0
                ? nil : try ProgramAddress(at: header.name, UInt64(header.nameSize))
            return Int64(try datagrams.send(header.parts, to: peer))
        }

        static func receiveMessage(_ a: Arguments, _ thread: LinuxThread) throws(Errno) -> Int64 {
            let header = try header(a.b)
            let file = try Descriptors.file(a.a)
            let (pair, socket) = (try pair(a.a), file.asSocket)
            guard pair != nil || socket != nil else { throw .notSocket }
            let peeks = a.c & Message.peek != 0
            var sender: ProgramAddress?
            var flags: UInt32 = 0
            let total = try file.blocking(thread, nonBlocking: a.c & Message.dontWait != 0) {
                () throws(Errno) in
                if let socket {
                    let result = try socket.receive(into: header.parts, peeks: peeks)
                    sender = result.peer
                    if result.length > result.count { flags |= Message.truncated }
                    return result.count
                }
                return try inOrder(peeks ? [VectorPart](header.parts.prefix(1)) : header.parts) {
                    (address, count, _) throws(Errno) in
                    try pair?.receive(to: address, count, peeks: peeks) ?? 0
                }
            }
            if header.name != 0 {
                if let sender, let socket {
                    try sender.store(
                        as: socket.family, at: header.name, sizeAt: a.b &+ 8)
                } else {
                    try UserMemory.store(UInt32(0), at: a.b &+ 8)
                }
            }
            // No ancillary data.
            try UserMemory.store(UInt64(0), at: a.b &+ 40)
            try UserMemory.store(flags, at: a.b &+ 48)
            return Int64(total)
        }

        static func shutDown(_ a: Arguments) throws(Errno) -> Int64 {
            guard a.b <= 2 else { throw .invalid }
            if let pair = try pair(a.a) {
                pair.shutDown(reading: a.b != 1, writing: a.b != 0)
            } else {
                try socket(a.a).shutDown(reading: a.b != 1, writing: a.b != 0)
            }
            return 0
        }

        static func socketName(_ a: Arguments) throws(Errno) -> Int64 {
            let socket = try socket(a.a)
            try socket.local.store(as: socket.family, at: a.b, sizeAt: a.c)
            return 0
        }

        static func peerName(_ a: Arguments) throws(Errno) -> Int64 {
            let socket = try socket(a.a)
            guard let peer = socket.peer else { throw .notConnected }
            try peer.store(as: socket.family, at: a.b, sizeAt: a.c)
            return 0
        }

        /// socketpair(2): two ends in the same program (AF_UNIX, streams).
        static func socketPair(_ a: Arguments) throws(Errno) -> Int64 {
            let flags = UInt32(truncatingIfNeeded: a.b)
            guard a.a == 1 else { throw .notSupported }
            guard flags & 0xF == 1 else { throw .protocolNotSupported }
            try UserMemory.checkWritable(a.d, 8)
            let (there, back) = (PipeBuffer(), PipeBuffer())
            let kept = OpenFlags.readWrite | flags & OpenFlags.nonBlocking
            try storePair(
                PipeFile(source: back, sink: there, flags: kept, isSocket: true),
                PipeFile(source: there, sink: back, flags: kept, isSocket: true),
                closesOnExec: flags & OpenFlags.closeOnExec != 0, at: a.d)
            return 0
        }

        // MARK: Options

        private static let socketLevel: UInt64 = 1
        private static let tcpLevel: UInt64 = 6
        private static let levelIPv6: UInt64 = 41
        private static let onlyIPv6: UInt64 = 26

        static func setOption(_ a: Arguments) throws(Errno) -> Int64 {
            let socket = try socket(a.a)
            guard a.e >= 4 else { throw .invalid }
            let value: Int32 = try UserMemory.load(a.d)
            switch (a.b, a.c) {
            case (tcpLevel, 1):
                guard socket.type == 1 else { throw .notSupported }
                socket.setNoDelay(value != 0)
            // Hints that change nothing of what the program can see.
            case (tcpLevel, 4...6), (tcpLevel, 9), (tcpLevel, 12), (tcpLevel, 18): break
            case (socketLevel, 2), (socketLevel, 6...9), (socketLevel, 13), (socketLevel, 15): break
            case (0, 1): break
            case (levelIPv6, onlyIPv6) where socket.family == .v6:
                guard !socket.isBound else { throw .invalid }
                socket.isOnlyIPv6 = value != 0
            // Hop limit, path MTU, errors, traffic class.
            case (levelIPv6, 16), (levelIPv6, 23), (levelIPv6, 25), (levelIPv6, 67):
                guard socket.family == .v6 else { throw .noProtocolOption }
            default: throw .noProtocolOption
            }
            return 0
        }

        static func getOption(_ a: Arguments) throws(Errno) -> Int64 {
            let socket = try socket(a.a)
            let value: Int32
            switch (a.b, a.c) {
            case (socketLevel, 3): value = socket.type
            case (socketLevel, 4): value = socket.takeError()
            case (socketLevel, 7), (socketLevel, 8): value = 212_992
            case (socketLevel, 2), (socketLevel, 6), (socketLevel, 9): value = 0
            case (socketLevel, 30): value = socket.isListening ? 1 : 0
            case (socketLevel, 38): value = socket.type == 1 ? 6 : 17
            case (socketLevel, 39): value = Int32(socket.family.rawValue)
            case (levelIPv6, onlyIPv6) where socket.family == .v6:
                value = socket.isOnlyIPv6 ? 1 : 0
            case (tcpLevel, 1): value = 1
            default: throw .noProtocolOption
            }
            let room: Int32 = try UserMemory.load(a.e)
            guard room >= 0 else { throw .invalid }
            var octets: [UInt8] = []
            octets.append(octets: value)
            let count = min(Int(room), 4)
            try UserMemory.copy([UInt8](octets.prefix(count)), to: a.d)
            try UserMemory.store(Int32(count), at: a.e)
            return 0
        }
    }
#endif
