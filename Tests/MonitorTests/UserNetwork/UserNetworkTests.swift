// The user network between sockets of the test's and a guest made by hand.

import CSwiftletKVM
import Glibc
import SwiftletTestSupport
import Testing

@testable import SwiftletMonitor

@Suite("User network")
struct UserNetworkTests {
    /// A socket of the host's side; closed with the value.
    final class HostSocket {
        let file: Int32
        let name: SocketAddress

        init(adopting file: Int32) {
            self.file = file
            name = SocketAddress.taking { getsockname(file, $0, $1) }.name
        }

        /// Bound to a free port of the loopback interface, and listening if it is one for streams.
        convenience init(
            _ type: __socket_type, on address: NetworkAddress = NetworkAddress(0x7F00_0001)
        ) {
            let place = SocketAddress(address, port: 0)
            let flags = Int32(SOCK_NONBLOCK.rawValue)
            let file = socket(place.family, Int32(type.rawValue) | flags, 0)
            _ = place.withName { bind(file, $0, $1) }
            if type == SOCK_STREAM { listen(file, 16) }
            self.init(adopting: file)
        }

        /// A connection to `server`; the kernel accepts it at once.
        convenience init(to server: SocketAddress, _ type: __socket_type = SOCK_STREAM) {
            let file = socket(server.family, Int32(type.rawValue), 0)
            _ = server.connect(file)
            _ = fcntl(file, F_SETFL, O_NONBLOCK)
            self.init(adopting: file)
        }

        deinit { close(file) }

        /// A datagram, and whose it is; of none the octets are none.
        func receive() -> (octets: [UInt8], from: SocketAddress) {
            var buffer = [UInt8](repeating: 0, count: 100)
            let (count, from) = SocketAddress.taking {
                recvfrom(file, &buffer, buffer.count, 0, $0, $1)
            }
            return (Array(buffer[..<max(count, 0)]), from)
        }

        func accept() -> HostSocket? {
            let file = swiftlet_accept(self.file, nil, nil, UserNetwork.socketFlags)
            return file >= 0 ? HostSocket(adopting: file) : nil
        }

        /// Octets that are there; nil after the end, or an error.
        func read() -> [UInt8]? {
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            let count = Glibc.read(file, &buffer, buffer.count)
            if count > 0 { return Array(buffer[..<count]) }
            return count < 0 && errno == EAGAIN ? [] : nil
        }

        func write(_ octets: ArraySlice<UInt8>) -> Int {
            octets.withUnsafeBytes {
                max(Glibc.send(file, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)), 0)
            }
        }
    }

    /// A guest with port 80 published, and where that is on the host.
    static func published(
        _ type: __socket_type, on address: NetworkAddress = NetworkAddress(0x7F00_0001)
    ) throws -> (GuestModel, SocketAddress) {
        let socket = HostSocket(type, on: address)
        let kind = type == SOCK_STREAM ? "tcp" : "udp"
        let port = try #require(PublishedPort("\(kind):127.0.0.1:1:80"))
        return (GuestModel([port], sockets: [dup(socket.file)]), socket.name)
    }

    /// What makes the guest known: any frame.
    static let announcement =
        GuestModel.hardwareAddress + GuestModel.hardwareAddress + [8, 6]
        + [UInt8](repeating: 0, count: 28)

    private func arp(for address: UInt32) -> [UInt8] {
        .init(repeating: 0xFF, count: 6) + GuestModel.hardwareAddress
            + [8, 6, 0, 1, 8, 0, 6, 4, 0, 1] + GuestModel.hardwareAddress
            + GuestModel.octets(UserNetworkAddress.guest) + [0, 0, 0, 0, 0, 0]
            + GuestModel.octets(address)
    }

    @Test("Every address but the guest's own is answered for")
    func addresses() throws {
        let guest = GuestModel()
        guest.send(arp(for: UserNetworkAddress.gateway))
        let reply = try #require(guest.wait { $0[13] == 6 })
        #expect(Array(reply[..<6]) == GuestModel.hardwareAddress)
        #expect(Array(reply[20..<32]) == [0, 2] + UserNetworkAddress.hardware + [10, 0, 2, 2])
        #expect(Array(reply[32..<42]) == GuestModel.hardwareAddress + [10, 0, 2, 15])
        guest.send(arp(for: UserNetworkAddress.guest))
        #expect(guest.receive().isEmpty)
    }

    @Test(
        "A connection waits for its guest, is asked again while nothing listens, and gets through")
    func patience() throws {
        let (guest, address) = try Self.published(SOCK_STREAM)
        let client = HostSocket(to: address)
        #expect(client.write(Array("hello".utf8)[...]) == 5)
        for _ in 0..<10 { #expect(guest.receive().isEmpty, "there is no guest yet") }
        guest.send(Self.announcement)
        // Twice nobody listens.
        for _ in 0..<2 {
            let frame = try #require(guest.wait { SeenSegment($0)?.flags == TCPFlag.syn })
            #expect(GuestModel.hasRightChecksums(frame))
            let segment = try #require(SeenSegment(frame))
            #expect(
                segment.remote
                    == SocketAddress(
                        address: UserNetworkAddress.gateway, port: client.name.port))
            let refusal = ConnectionModel(guest, segment.remote, 80)
            refusal.sequence = 0
            refusal.expected = segment.sequence &+ 1
            refusal.send(TCPFlag.reset | TCPFlag.acknowledge)
            #expect(client.read() == [], "the client is not told")
        }
        let connection = try #require(ConnectionModel(answering: guest, port: 80))
        #expect(connection.turn { connection.received.count == 5 })
        #expect(connection.received == Array("hello".utf8))
        connection.send(TCPFlag.acknowledge | TCPFlag.push, Array("world".utf8))
        #expect(client.read() == Array("world".utf8))

        // Once the port has answered, a refusal is one.
        let second = HostSocket(to: address)
        let frame = try #require(guest.wait { SeenSegment($0)?.flags == TCPFlag.syn })
        let segment = try #require(SeenSegment(frame))
        let refusal = ConnectionModel(guest, segment.remote, 80)
        refusal.sequence = 0
        refusal.expected = segment.sequence &+ 1
        refusal.send(TCPFlag.reset | TCPFlag.acknowledge)
        #expect(second.read() == nil)
    }

    @Test("Both ends of a connection end on their own")
    func halves() throws {
        let (guest, address) = try Self.published(SOCK_STREAM)
        guest.send(Self.announcement)
        let client = HostSocket(to: address)
        let connection = try #require(ConnectionModel(answering: guest, port: 80))
        shutdown(client.file, Int32(SHUT_WR))
        #expect(connection.turn { connection.hasEnded })
        connection.send(TCPFlag.acknowledge, Array("late".utf8))
        #expect(client.read() == Array("late".utf8))
        connection.send(TCPFlag.acknowledge | TCPFlag.fin, at: connection.sequence &+ 4)
        #expect(client.read() == nil)
        // Nothing is left: what comes now is of no connection.
        connection.sequence &+= 5
        connection.send(TCPFlag.acknowledge, [1])
        #expect(connection.turn { connection.wasReset })
    }

    @Test("A reset by one end resets the other")
    func resets() throws {
        let (guest, address) = try Self.published(SOCK_STREAM)
        guest.send(Self.announcement)
        let client = HostSocket(to: address)
        let connection = try #require(ConnectionModel(answering: guest, port: 80))
        connection.turn()
        // Not the very next octet: nobody's.
        connection.send(TCPFlag.reset, at: connection.sequence &+ 7)
        #expect(client.read() == [])
        connection.send(TCPFlag.reset)
        #expect(client.read() == nil && errno == ECONNRESET)

        let rude = HostSocket(to: address)
        let other = try #require(ConnectionModel(answering: guest, port: 80))
        other.turn()
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(rude.file, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close(dup2(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0), rude.file))
        #expect(other.turn { other.wasReset })
    }

    @Test(
        "Megabytes arrive whole in both directions, though windows close and segments are lost",
        arguments: [0, 7])
    func transfer(loses: Int) throws {
        let (guest, address) = try Self.published(SOCK_STREAM)
        guest.send(Self.announcement)
        let client = HostSocket(to: address)
        let connection = try #require(ConnectionModel(answering: guest, port: 80))
        connection.loses = loses
        connection.window = 5000
        var random = SeededRandom(seed: 1)
        let down = random.bytes(loses == 0 ? 1 << 20 : 60_000)
        let up = random.bytes(1 << 20)
        var written = 0
        var read: [UInt8] = []
        let first = connection.sequence
        var turns = 0
        let isDone = connection.turn {
            written += client.write(down[written...])
            turns += 1
            // A guest that sends what the window allows, and begins again after a loss.
            let done = Int(connection.acknowledged &- first)
            var next = max(done, 0)
            let edge = min(up.count, next + Int(connection.peerWindow))
            while next < edge {
                let end = min(next + 1400, edge)
                connection.send(
                    TCPFlag.acknowledge, Array(up[next..<end]), at: first &+ UInt32(next))
                next = end
            }
            connection.sequence = first &+ UInt32(next)
            // A reader that is slow at times.
            if turns % 3 == 0 { while let some = client.read(), !some.isEmpty { read += some } }
            return connection.received.count >= down.count && read.count >= up.count
        }
        #expect(
            isDone, "\(connection.received.count) of \(down.count), \(read.count) of \(up.count)")
        #expect(connection.received == down)
        #expect(read == up)
    }

    @Test(
        "The guest reaches the host's loopback interface at the gateway, and is refused where nobody is"
    )
    func outwards() throws {
        let guest = GuestModel()
        let server = HostSocket(SOCK_STREAM)
        let gateway = SocketAddress(address: UserNetworkAddress.gateway, port: server.name.port)
        let connection = ConnectionModel(guest, gateway, 5000)
        connection.send(TCPFlag.syn, options: [2, 4, 5, 0xB4])
        let frame = try #require(guest.wait { SeenSegment($0) != nil })
        let answer = try #require(SeenSegment(frame))
        #expect(answer.flags == TCPFlag.syn | TCPFlag.acknowledge && answer.acknowledgement == 1001)
        connection.sequence = 1001
        connection.acknowledged = 1001
        connection.expected = answer.sequence &+ 1
        connection.send(TCPFlag.acknowledge, Array("ask".utf8))
        let accepted = try #require(server.accept())
        #expect(accepted.read() == Array("ask".utf8))
        #expect(accepted.write(Array("answer".utf8)[...]) == 6)
        #expect(connection.turn { connection.received == Array("answer".utf8) })

        for address: UInt32 in [UserNetworkAddress.gateway, 0x7F00_0001, 0xE000_0001, 0x0A00_0207] {
            // A port that was bound and is free again.
            let port = HostSocket(SOCK_STREAM).name.port
            let refused = ConnectionModel(guest, SocketAddress(address: address, port: port), 5001)
            refused.send(TCPFlag.syn)
            #expect(refused.turn { refused.wasReset }, "\(address)")
        }
    }

    @Test("Datagrams go both ways, larger ones in fragments; who was not asked cannot answer")
    func datagrams() throws {
        let (guest, address) = try Self.published(SOCK_DGRAM)
        let client = HostSocket(to: address, SOCK_DGRAM)
        #expect(client.write(Array("ask".utf8)[...]) == 3)
        let frame = try #require(guest.wait { $0[23] == 17 })
        #expect(GuestModel.hasRightChecksums(frame))
        #expect(Array(frame[42..<45]) == Array("ask".utf8))
        let name = SocketAddress(address: UserNetworkAddress.gateway, port: client.name.port)
        guest.send(GuestModel.datagram(from: 80, to: name, Array("answer".utf8)))
        #expect(client.read() == Array("answer".utf8))

        let large = (0..<4000).map { UInt8(truncatingIfNeeded: $0) }
        #expect(client.write(large[...]) == 4000)
        var fragments: [[UInt8]] = []
        for _ in 0..<1000 where fragments.count < 3 { fragments += guest.receive() }
        #expect(fragments.map { $0[20] & 0x20 } == [0x20, 0x20, 0])
        #expect(Array(fragments.map { $0[34...] }.joined().dropFirst(8)) == large)

        let server = HostSocket(SOCK_DGRAM)
        let gateway = SocketAddress(address: UserNetworkAddress.gateway, port: server.name.port)
        guest.send(GuestModel.datagram(from: 7000, to: gateway, Array("out".utf8)))
        let (question, from) = server.receive()
        #expect(question.count == 3)
        let stranger = HostSocket(to: from, SOCK_DGRAM)
        _ = stranger.write(Array("me too".utf8)[...])
        for _ in 0..<10 { #expect(guest.receive().isEmpty) }
        #expect(from.connect(server.file) == 0)
        #expect(server.write(Array("back".utf8)[...]) == 4)
        let back = try #require(guest.wait { $0[23] == 17 })
        #expect(Array(back[42..<46]) == Array("back".utf8))
    }

    @Test("No frame of the guest's traps, and nothing grows beyond its bounds")
    func hostileGuest() throws {
        let (guest, address) = try Self.published(SOCK_STREAM)
        var random = SeededRandom(seed: 7)
        let server = HostSocket(SOCK_STREAM)
        let gateway = SocketAddress(address: UserNetworkAddress.gateway, port: server.name.port)
        let client = HostSocket(to: address)
        let seeds: [[UInt8]] = [
            arp(for: UserNetworkAddress.gateway),
            GuestModel.datagram(from: 9, to: gateway, [1, 2, 3]),
            GuestModel.packet(
                6, to: gateway.address,
                GuestModel.octets(UInt16(5)) + GuestModel.octets(gateway.port)
                    + [0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 255, 255, 0, 0, 0, 0, 2, 4, 5, 0xB4]),
            GuestModel.packet(
                6, to: gateway.address,
                GuestModel.octets(UInt16(80)) + GuestModel.octets(client.name.port)
                    + [0, 0, 0, 1, 0, 0, 0, 0, 0x60, 0x12, 255, 255, 0, 0, 0, 0, 2, 4, 5, 0xB4, 1]),
        ]
        for round in 0..<3000 {
            var frame = seeds[Int(random.below(UInt64(seeds.count)))]
            for _ in 0..<random.below(4) {
                let place = Int(random.below(UInt64(frame.count)))
                frame[place] = UInt8(truncatingIfNeeded: random.next())
            }
            // Nowhere but to this host.
            if frame.count >= 34, frame[30] != 10 {
                frame.replaceSubrange(30..<34, with: [10, 0, 2, 2])
            }
            if random.chance(perMille: 50) {
                frame.removeLast(Int(random.below(UInt64(frame.count))))
            }
            guest.send(frame)
            if round % 50 == 0 { _ = guest.receive() }
            while let accepted = server.accept() { _ = accepted.read() }
        }
        // Descriptors were bounded by 400.
        #expect(guest.network.flowCount <= 168)
        // Others are served all the while.
        let honest = ConnectionModel(guest, gateway, 33)
        _ = honest.turn { guest.receive().isEmpty }
        guest.send(arp(for: UserNetworkAddress.gateway))
        #expect(guest.wait { $0[13] == 6 && $0[21] == 2 } != nil)
    }

    @Test("A broken length ends the link")
    func brokenLink() throws {
        var ends: [Int32] = [-1, -1]
        socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &ends)
        defer { for end in ends { close(end) } }
        let network = UserNetwork(
            link: FrameStream(ends[1]), hardwareAddress: GuestModel.hardwareAddress, ports: [],
            nameServer: nil, hasIPv6: true, descriptors: 400)
        #expect(network.turn(timeout: 0))
        #expect(write(ends[0], [0xFF, 0xFF, 0xFF, 0xFF], 4) == 4)
        #expect(!network.turn(timeout: 0))
    }
}
