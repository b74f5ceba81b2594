// The host's name server, as the guest reaches it in the user network.

import CSwiftletKVM
import Glibc
import Testing

@testable import SwiftletMonitor

@Suite("The user network's name server")
struct NameServerTests {
    private typealias HostSocket = UserNetworkTests.HostSocket
    private let place = SocketAddress(
        address: UserNetworkAddress.nameServer, port: UserNetworkAddress.namePort)

    @Test("Datagrams to port 53 reach it, and its answers come from where they were asked for")
    func datagrams() throws {
        let server = HostSocket(SOCK_DGRAM)
        let guest = GuestModel(nameServer: server.name)
        guest.send(GuestModel.datagram(from: 7000, to: place, Array("question".utf8)))
        let (question, from) = server.receive()
        #expect(question.elementsEqual("question".utf8))
        #expect(from.connect(server.file) == 0)
        #expect(server.write(Array("answer".utf8)[...]) == 6)
        let answer = try #require(guest.wait { $0[23] == 17 })
        #expect(Array(answer[26..<30]) == [10, 0, 2, 3])
        #expect(Array(answer[34..<38]) == [0, 53] + GuestModel.octets(UInt16(7000)))
        #expect(answer[42...].elementsEqual("answer".utf8))
        // No other port of it is anybody's, though the same server is there.
        let other = SocketAddress(place.address, port: server.name.port)
        guest.send(GuestModel.datagram(from: 7001, to: other, Array("question".utf8)))
        var buffer = [UInt8](repeating: 0, count: 100)
        #expect(recv(server.file, &buffer, 100, Int32(MSG_DONTWAIT)) < 0)
    }

    @Test("So do connections; without a server they are refused")
    func connections() throws {
        let server = HostSocket(SOCK_STREAM)
        let connection = ConnectionModel(GuestModel(nameServer: server.name), place, 5000)
        connection.send(TCPFlag.syn, options: [2, 4, 5, 0xB4])
        let frame = try #require(connection.guest.wait { SeenSegment($0) != nil })
        let answer = try #require(SeenSegment(frame))
        #expect(answer.flags == TCPFlag.syn | TCPFlag.acknowledge)
        #expect(answer.remote == place)
        #expect(server.accept() != nil)
        let refused = ConnectionModel(GuestModel(), place, 5000)
        refused.send(TCPFlag.syn)
        #expect(refused.turn { refused.wasReset })
    }

    @Test("Over IPv6 it is at fec0::3, though the server is of IPv4")
    func overIPv6() throws {
        let server = HostSocket(SOCK_DGRAM)
        let guest = GuestModel(nameServer: server.name)
        let place = SocketAddress(UserNetworkAddress.nameServerV6, port: 53)
        guest.send(GuestModel.datagram(from: 7000, to: place, Array("question".utf8)))
        let (question, from) = server.receive()
        #expect(question.elementsEqual("question".utf8))
        #expect(from.connect(server.file) == 0)
        #expect(server.write(Array("answer".utf8)[...]) == 6)
        let answer = try #require(guest.wait { $0[20] == 17 })
        #expect(Array(answer[22..<38]) == GuestModel.octets(place.address))
        #expect(answer[62...].elementsEqual("answer".utf8) && GuestModel.hasRightChecksums(answer))
        let other = SocketAddress(place.address, port: server.name.port)
        guest.send(GuestModel.datagram(from: 7001, to: other, Array("question".utf8)))
        var buffer = [UInt8](repeating: 0, count: 100)
        #expect(recv(server.file, &buffer, 100, Int32(MSG_DONTWAIT)) < 0)
    }

    @Test("resolv.conf(5): the first server that can be reached; this machine where none is named")
    func configuration() {
        func parse(_ text: String) -> String? { HostResolver.parse(Array(text.utf8)[...])?.text }
        #expect(parse("nameserver 192.0.2.1\nnameserver 192.0.2.2\n") == "192.0.2.1")
        #expect(parse("search x\n nameserver\t10.1.2.3 # the one\r\n") == "10.1.2.3")
        #expect(parse("nameserver 2001:db8::1\nnameserver 10.0.0.1") == "2001:db8::1")
        #expect(parse("nameserver fe80::1%eth0\n") == nil)
        #expect(parse("nameserver fe80::1\nnameserver 10.0.0.1") == "10.0.0.1")
        #expect(parse("") == "127.0.0.1")
        #expect(parse("# nameserver 10.0.0.1\n;nameserver 10.0.0.2\nnameserver\n") == "127.0.0.1")
    }
}
