// IPv6 of the user network: neighbour discovery, flows to the host, and ports published on its
// addresses.

import CSwiftletKVM
import Glibc
import SwiftletTestSupport
import Testing

@testable import SwiftletMonitor

@Suite(
    "User network, IPv6",
    .enabled(if: SocketAddress.hasIPv6(), "this host has no IPv6 on its loopback interface"))
struct UserNetworkIPv6Tests {
    private typealias HostSocket = UserNetworkTests.HostSocket

    private static let linkLocal = NetworkAddress(high: 0xFE80 << 48, low: 0xF00D)
    private static let allRouters = NetworkAddress(high: 0xFF02 << 48, low: 2)

    /// A message of ICMPv6 in its frame.
    private func discovery(
        _ message: [UInt8], from source: NetworkAddress = linkLocal, hopLimit: UInt8 = 255
    ) -> [UInt8] {
        GuestModel.packet(58, to: Self.allRouters, from: source, hopLimit: hopLimit, message)
    }

    private func solicitation(of target: NetworkAddress) -> [UInt8] {
        [135, 0, 0, 0, 0, 0, 0, 0] + GuestModel.octets(target)
    }

    private static let routerSolicitation: [UInt8] = [133, 0, 0, 0, 0, 0, 0, 0]

    // MARK: Neighbour discovery

    @Test("Who asks for a router hears of prefix, MTU and name server, and again after a while")
    func advertisement() throws {
        let guest = GuestModel(nameServer: SocketAddress(address: 0x7F00_0001, port: 53))
        guest.send(discovery(Self.routerSolicitation, from: .unspecified))
        let frame = try #require(guest.receive().first)
        #expect(Array(frame[..<6]) == [0x33, 0x33, 0, 0, 0, 1])
        #expect(Array(frame[22..<38]) == GuestModel.octets(UserNetworkAddress.router))
        #expect(frame[21] == 255 && GuestModel.hasRightChecksums(frame))
        let message = Array(frame[54...])
        #expect(message[0] == 134 && Array(message[4..<8]) == [64, 0, 0x23, 0x28])
        #expect(Array(message[16..<24]) == [1, 1] + UserNetworkAddress.hardware)
        #expect(Array(message[24..<32]) == [5, 1, 0, 0, 0, 0, 5, 0xDC])
        #expect(
            Array(message[32..<64]) == [3, 4, 64, 0xC0] + [UInt8](repeating: 0xFF, count: 8)
                + [0, 0, 0, 0, 0xFE, 0xC0] + [UInt8](repeating: 0, count: 14))
        #expect(
            Array(message[64...]) == [25, 3, 0, 0, 0, 0, 0x23, 0x28]
                + GuestModel.octets(UserNetworkAddress.nameServerV6))
        // Nobody asks now; ten minutes later it is said again.
        #expect(guest.receive().isEmpty)
        #expect(guest.network.nextAdvertisement > guest.network.now + 590_000_000_000)
        guest.network.nextAdvertisement = guest.network.now
        #expect(guest.receive() == [frame])
        #expect(guest.network.nextAdvertisement > guest.network.now)
    }

    @Test("A host without IPv6 advertises nothing; one without a name server none")
    func absence() {
        let none = GuestModel(hasIPv6: false)
        none.send(discovery(Self.routerSolicitation))
        none.send(discovery(solicitation(of: UserNetworkAddress.gatewayV6)))
        #expect(none.receive().isEmpty)
        let nameless = GuestModel()
        nameless.send(discovery(Self.routerSolicitation))
        #expect(nameless.receive().first?.count == 54 + 64)
    }

    @Test("The host's addresses are answered for, and no others")
    func neighbours() throws {
        let guest = GuestModel()
        let own = [
            UserNetworkAddress.gatewayV6, UserNetworkAddress.nameServerV6,
            UserNetworkAddress.router,
        ]
        for target in own {
            guest.send(discovery(solicitation(of: target)))
            let frame = try #require(guest.receive().first)
            #expect(Array(frame[..<6]) == GuestModel.hardwareAddress)
            #expect(Array(frame[22..<38]) == GuestModel.octets(target))
            #expect(Array(frame[38..<54]) == GuestModel.octets(Self.linkLocal))
            #expect(frame[21] == 255 && GuestModel.hasRightChecksums(frame))
            #expect(
                Array(frame[54...]).zeroing(2..<4) == [136, 0, 0, 0, 0xE0, 0, 0, 0]
                    + GuestModel.octets(target) + [2, 1] + UserNetworkAddress.hardware)
        }
        // A guest that would have one of them itself is told so (RFC 4862 §5.4.4).
        guest.send(discovery(solicitation(of: own[0]), from: .unspecified))
        let frame = try #require(guest.receive().first)
        #expect(Array(frame[..<6]) == [0x33, 0x33, 0, 0, 0, 1])
        #expect(Array(frame[38..<54]) == GuestModel.octets(UserNetworkAddress.allNodes))
        #expect(Array(frame[58..<62]) == [0xA0, 0, 0, 0])

        // The guest's own, which it checks, and nobody's; what is no message of the link's.
        guest.send(discovery(solicitation(of: GuestModel.ownAddress), from: .unspecified))
        guest.send(discovery(solicitation(of: NetworkAddress(high: 0xFEC0 << 48, low: 4))))
        guest.send(discovery(solicitation(of: own[0]), hopLimit: 254))
        guest.send(discovery(Self.routerSolicitation, hopLimit: 64))
        for length in 0..<8 { guest.send(discovery(Array(Self.routerSolicitation[..<length]))) }
        for length in 8..<24 {
            guest.send(discovery(Array(solicitation(of: own[0])[..<length])))
        }
        guest.send(discovery([133, 1, 0, 0, 0, 0, 0, 0]))
        guest.send(discovery([128, 0, 0, 0, 0, 0, 0, 0]))
        #expect(guest.receive().isEmpty)
    }

    // MARK: Flows

    @Test("The guest reaches ::1 of the host at fec0::2, and is refused where nobody is")
    func outwards() throws {
        let guest = GuestModel()
        let server = HostSocket(SOCK_STREAM, on: .loopback)
        let gateway = SocketAddress(UserNetworkAddress.gatewayV6, port: server.name.port)
        let connection = ConnectionModel(guest, gateway, 5000)
        connection.send(TCPFlag.syn, options: [2, 4, 5, 0xA0])
        let frame = try #require(guest.wait { SeenSegment($0) != nil })
        #expect(GuestModel.hasRightChecksums(frame))
        // Segments of 1440 octets, which fit into a packet of 1500.
        #expect(Array(frame[74..<78]) == [2, 4, 5, 0xA0])
        let answer = try #require(SeenSegment(frame))
        #expect(answer.flags == TCPFlag.syn | TCPFlag.acknowledge && answer.acknowledgement == 1001)
        #expect(answer.guest == GuestModel.ownAddress && answer.remote == gateway)
        connection.sequence = 1001
        connection.acknowledged = 1001
        connection.expected = answer.sequence &+ 1
        connection.send(TCPFlag.acknowledge, Array("ask".utf8))
        let accepted = try #require(server.accept())
        #expect(accepted.read() == Array("ask".utf8))
        var random = SeededRandom(seed: 6)
        let long = random.bytes(100_000)
        var written = 0
        #expect(
            connection.turn {
                written += accepted.write(long[written...])
                return connection.received.count == long.count
            })
        #expect(connection.received == long)

        // A port that was bound and is free again; nothing else of this network, and no IPv4.
        for address in [
            UserNetworkAddress.gatewayV6, UserNetworkAddress.router, .loopback,
            NetworkAddress(high: UserNetworkAddress.prefix, low: 7), UserNetworkAddress.allNodes,
            NetworkAddress(high: 0, low: 0x7F00_0001),
        ] {
            let port =
                address == UserNetworkAddress.gatewayV6
                ? HostSocket(SOCK_STREAM, on: .loopback).name.port : server.name.port
            let refused = ConnectionModel(guest, SocketAddress(address, port: port), 5001)
            refused.send(TCPFlag.syn)
            #expect(refused.turn { refused.wasReset }, "\(address.text)")
        }
        #expect(server.accept() == nil)
    }

    @Test("Who is not the guest is not served")
    func strangers() {
        let guest = GuestModel()
        let server = HostSocket(SOCK_STREAM, on: .loopback)
        let segment =
            GuestModel.octets(UInt16(5000)) + GuestModel.octets(server.name.port)
            + [0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 255, 255, 0, 0, 0, 0]
        for source in [
            .unspecified, .loopback, Self.linkLocal, UserNetworkAddress.gatewayV6,
            UserNetworkAddress.nameServerV6, NetworkAddress(high: 0x2001_0DB8 << 32, low: 1),
            NetworkAddress(0x0A00_020F),
        ] {
            guest.send(
                GuestModel.packet(6, to: UserNetworkAddress.gatewayV6, from: source, segment))
        }
        // To an address of IPv4 within one of IPv6 there is no way round the rules of IPv4.
        var frame = GuestModel.packet(6, to: UserNetworkAddress.gatewayV6, segment)
        frame.replaceSubrange(38..<54, with: GuestModel.octets(NetworkAddress(0x7F00_0001)))
        guest.send(frame)
        #expect(guest.receive().isEmpty)
        #expect(guest.network.flowCount == 0 && server.accept() == nil)
    }

    @Test("Datagrams go both ways, larger ones in fragments")
    func datagrams() throws {
        let guest = GuestModel()
        let server = HostSocket(SOCK_DGRAM, on: .loopback)
        let gateway = SocketAddress(UserNetworkAddress.gatewayV6, port: server.name.port)
        guest.send(GuestModel.datagram(from: 7000, to: gateway, Array("out".utf8)))
        let (octets, from) = server.receive()
        #expect(octets == Array("out".utf8) && from.address == .loopback)
        #expect(from.connect(server.file) == 0)
        #expect(server.write(Array("back".utf8)[...]) == 4)
        let back = try #require(guest.wait { $0[20] == 17 })
        #expect(GuestModel.hasRightChecksums(back) && Array(back[62...]) == Array("back".utf8))

        let large = (0..<4000).map { UInt8(truncatingIfNeeded: $0) }
        #expect(server.write(large[...]) == 4000)
        var fragments: [[UInt8]] = []
        for _ in 0..<1000 where fragments.count < 3 { fragments += guest.receive() }
        #expect(
            fragments.map { $0[20] } == [44, 44, 44] && fragments.map { $0[54] } == [17, 17, 17])
        // Offsets in octets, and whether more follow.
        #expect(
            fragments.map { UInt16($0[56]) << 8 | UInt16($0[57]) } == [0 | 1, 1448 | 1, 2896])
        #expect(fragments.allSatisfy { $0.count <= 1514 && $0[58...61] == fragments[0][58...61] })
        #expect(Array(fragments.map { $0[62...] }.joined().dropFirst(8)) == large)
        // The longest in one frame.
        let whole = Array(large.prefix(1452))
        #expect(server.write(whole[...]) == 1452)
        let frame = try #require(guest.wait { $0[20] == 17 })
        #expect(frame.count == 1514 && Array(frame[62...]) == whole)
    }

    // MARK: Published ports

    @Test("A port on ::1 leads to the guest, which sees the gateway")
    func published() throws {
        let (guest, address) = try UserNetworkTests.published(SOCK_STREAM, on: .loopback)
        #expect(address.address == .loopback)
        guest.send(UserNetworkTests.announcement)
        let client = HostSocket(to: address)
        #expect(client.write(Array("hello".utf8)[...]) == 5)
        let connection = try #require(ConnectionModel(answering: guest, port: 80))
        #expect(
            connection.remote
                == SocketAddress(address: UserNetworkAddress.gateway, port: client.name.port))
        #expect(connection.turn { connection.received == Array("hello".utf8) })
        connection.send(TCPFlag.acknowledge | TCPFlag.push, Array("world".utf8))
        #expect(client.read() == Array("world".utf8))

        let (other, place) = try UserNetworkTests.published(SOCK_DGRAM, on: .loopback)
        let sender = HostSocket(to: place, SOCK_DGRAM)
        #expect(sender.write(Array("ask".utf8)[...]) == 3)
        let frame = try #require(other.wait { $0[23] == 17 })
        #expect(Array(frame[42..<45]) == Array("ask".utf8))
        let name = SocketAddress(address: UserNetworkAddress.gateway, port: sender.name.port)
        other.send(GuestModel.datagram(from: 80, to: name, Array("answer".utf8)))
        #expect(sender.read() == Array("answer".utf8))
    }

    @Test("A port on :: takes both versions; one on ::1 that alone", arguments: ["::", "::1"])
    func versions(address: String) throws {
        for type in [SOCK_STREAM, SOCK_DGRAM] {
            let kind = type == SOCK_STREAM ? "tcp" : "udp"
            var port = try #require(PublishedPort("\(kind):[\(address)]:1:80"))
            // One that the kernel chooses.
            port.host = 0
            let file = try port.open()
            let number = SocketAddress.taking { getsockname(file, $0, $1) }.name.port
            var isOfOneVersion: Int32 = -1
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(file, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &isOfOneVersion, &size)
            #expect(isOfOneVersion == (address == "::" ? 0 : 1))
            let guest = GuestModel([port], sockets: [file])
            guest.send(UserNetworkTests.announcement)
            let callers = [.loopback] + (address == "::" ? [NetworkAddress(0x7F00_0001)] : [])
            for caller in callers {
                let client = HostSocket(to: SocketAddress(caller, port: number), type)
                #expect(client.write([42][...]) == 1)
                let frame = try #require(guest.wait { $0[12] == 8 }, "\(kind) \(caller.text)")
                #expect(Array(frame[26..<30]) == [10, 0, 2, 2])
                guard kind == "udp" else { continue }
                let name = SocketAddress(
                    address: UserNetworkAddress.gateway,
                    port: UInt16(frame[34]) << 8 | UInt16(frame[35]))
                guest.send(GuestModel.datagram(from: 80, to: name, [43]))
                #expect(client.read() == [43])
            }
        }
    }

    @Test("Ports are read with addresses of IPv6 in brackets")
    func text() {
        for (text, address) in [
            ("tcp:[::1]:8080:80", "::1"), ("udp:[::]:53:5353", "::"),
            ("tcp:[2001:db8::7]:1:2", "2001:db8::7"), ("tcp:127.0.0.1:1:2", "127.0.0.1"),
        ] {
            #expect(PublishedPort(text)?.address.text == address)
        }
        for text in [
            "tcp:::1:8080:80", "tcp:[127.0.0.1]:1:2", "tcp:[]:1:2", "tcp:[::1:1:2", "tcp:::1]:1:2",
            "tcp:[::1]:1", "tcp:[::1]::2", "tcp:[::g]:1:2", "[::1]:1:2", "tcp:[::1]1:2", "tcp",
        ] {
            #expect(PublishedPort(text) == nil, "\(text)")
        }
    }

    // MARK: Hostility

    @Test("No frame of the guest's traps, and nothing grows beyond its bounds")
    func hostileGuest() throws {
        let guest = GuestModel()
        var random = SeededRandom(seed: 8)
        let server = HostSocket(SOCK_STREAM, on: .loopback)
        let gateway = SocketAddress(UserNetworkAddress.gatewayV6, port: server.name.port)
        let seeds: [[UInt8]] = [
            discovery(Self.routerSolicitation), discovery(solicitation(of: gateway.address)),
            GuestModel.datagram(from: 9, to: gateway, [1, 2, 3]),
            GuestModel.packet(
                6, to: gateway.address,
                GuestModel.octets(UInt16(5)) + GuestModel.octets(gateway.port)
                    + [0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 255, 255, 0, 0, 0, 0, 2, 4, 5, 0xB4]),
        ]
        for round in 0..<3000 {
            var frame = seeds[Int(random.below(UInt64(seeds.count)))]
            for _ in 0..<random.below(4) {
                let place = Int(random.below(UInt64(frame.count)))
                frame[place] = UInt8(truncatingIfNeeded: random.next())
            }
            // Another address of the guest's for each flow, and nowhere but to this host.
            if frame[20] != 58 {
                frame[37] = UInt8(truncatingIfNeeded: random.next())
                frame.replaceSubrange(38..<54, with: GuestModel.octets(gateway.address))
            }
            if random.chance(perMille: 50) {
                frame.removeLast(Int(random.below(UInt64(frame.count))))
            }
            guest.send(frame)
            if round % 50 == 0 { _ = guest.receive() }
            while let accepted = server.accept() { _ = accepted.read() }
        }
        #expect(guest.network.flowCount <= 168)
        while !guest.receive().isEmpty {}
        guest.send(discovery(solicitation(of: gateway.address)))
        #expect(guest.wait { $0[20] == 58 && $0[54] == 136 } != nil)
    }
}

extension [UInt8] {
    /// With zeros in place of a checksum.
    fileprivate func zeroing(_ range: Range<Int>) -> [UInt8] {
        var octets = self
        for index in range { octets[index] = 0 }
        return octets
    }
}
