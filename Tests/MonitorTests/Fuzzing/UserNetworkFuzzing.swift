// A guest that does what a fuzzer wants with the user network: frames of both versions, in any order,
// between sockets that come and go.

import CSwiftletKVM
import Glibc
import SwiftletTestSupport

@testable import SwiftletMonitor

/// The user network against a hostile guest. What leaves it goes to this target's own sockets alone.
enum UserNetworkFuzzing: FuzzTarget {
    static let name = "user-network"

    /// Each action is an octet, and the octets that it takes.
    static let seeds: [[UInt8]] = [
        // A router and neighbours are asked for.
        [1, 0, 0, 1, 1, 0, 1, 2, 0, 2, 6],
        // Connections that the guest asks for, over IPv4 and IPv6: SYN, octets, FIN; octets back.
        [1, 3, 0, 2, 1, 4, 0, 2, 1, 5, 0, 3, 2, 3, 40, 2],
        [1, 6, 0, 2, 1, 7, 0, 2, 1, 8, 0, 3, 2, 3, 40, 2],
        // One that the host asks for, which the guest takes.
        [1, 9, 0, 4, 0, 2, 5, 0, 2, 1, 4, 0, 2],
        [4, 1, 1, 9, 0, 2, 5, 1, 30, 2, 2],
        // Datagrams both ways.
        [1, 10, 0, 1, 11, 0, 2, 3, 200, 2],
        // Frames of noise, and templates with an octet changed.
        [0, 60, 0x86, 0xDD, 0x60, 2, 0, 20, 8, 0, 0x45],
        [1, 3, 1, 46, 0xF2, 1, 6, 1, 66, 0xF2, 1, 6, 2, 18, 0xFF, 19, 0xFF, 2],
    ]

    private static let linkLocal = NetworkAddress(high: 0xFE80 << 48, low: 0xF00D)
    private static let v4 = NetworkAddress(UserNetworkAddress.gateway)
    private static let v6 = UserNetworkAddress.gatewayV6

    /// Frames as a guest sends them; ports are put in later.
    private static let templates: [[UInt8]] = {
        func discovery(_ message: [UInt8]) -> [UInt8] {
            GuestModel.packet(58, to: v6, from: linkLocal, hopLimit: 255, message)
        }
        func segment(_ to: NetworkAddress, _ flags: UInt8, _ more: [UInt8]) -> [UInt8] {
            // The option of a SYN; an acknowledgement of nothing that is known.
            let words: UInt8 = flags & TCPFlag.syn != 0 ? 6 : 5
            let head: [UInt8] = [0x13, 0x88, 0, 0, 0, 0, 3, 0xE8, 0, 0, 0, 0, words << 4, flags]
            return GuestModel.packet(6, to: to, head + [0xFF, 0xFF, 0, 0, 0, 0] + more)
        }
        func neighbour(_ target: NetworkAddress) -> [UInt8] {
            discovery([135, 0, 0, 0, 0, 0, 0, 0] + GuestModel.octets(target))
        }
        let option: [UInt8] = [2, 4, 5, 0xA0]
        let arp =
            GuestModel.hardwareAddress + GuestModel.hardwareAddress
            + [8, 6, 0, 1, 8, 0, 6, 4, 0, 1] + GuestModel.hardwareAddress + [10, 0, 2, 15]
            + [0, 0, 0, 0, 0, 0, 10, 0, 2, 2]
        return [
            discovery([133, 0, 0, 0, 0, 0, 0, 0]), neighbour(v6),
            neighbour(UserNetworkAddress.router),
            segment(v4, TCPFlag.syn, option), segment(v4, TCPFlag.acknowledge, [1, 2, 3]),
            segment(v4, TCPFlag.acknowledge | TCPFlag.fin, []),
            segment(v6, TCPFlag.syn, option), segment(v6, TCPFlag.acknowledge, [1, 2, 3]),
            segment(v6, TCPFlag.acknowledge | TCPFlag.fin, []), arp,
            GuestModel.packet(17, to: v4, [0x1B, 0x58, 0, 0, 0, 11, 0, 0, 1, 2, 3]),
            GuestModel.packet(17, to: v6, [0x1B, 0x58, 0, 0, 0, 11, 0, 0, 1, 2, 3]),
        ]
    }()

    /// What lies around the network: its guest, and this host's sockets.
    private final class Model {
        let guest: GuestModel
        let server: (tcp: Int32, udp: Int32)
        private let published: Int32
        private let port: UInt16
        var files: [Int32] = []
        /// The last segment to the guest.
        var seen: SeenSegment?

        init?() {
            let sockets = [SOCK_STREAM, SOCK_DGRAM, SOCK_STREAM].compactMap { Self.bound($0) }
            guard sockets.count == 3, let port = PublishedPort("tcp:[::]:1:80") else {
                for (file, _) in sockets { close(file) }
                return nil
            }
            server = (sockets[0].0, sockets[1].0)
            (published, self.port) = sockets[2]
            ports = (sockets[0].1, sockets[1].1)
            guest = GuestModel(
                [port], sockets: [dup(published)],
                nameServer: SocketAddress(address: 0x7F00_0001, port: ports.udp))
        }

        private let ports: (tcp: UInt16, udp: UInt16)

        deinit { for file in files + [server.tcp, server.udp, published] { close(file) } }

        /// A socket of both versions on a port that the kernel chooses.
        private static func bound(_ type: __socket_type) -> (Int32, UInt16)? {
            let flags = Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            let file = socket(AF_INET6, Int32(type.rawValue) | flags, 0)
            guard file >= 0 else { return nil }
            let isBound =
                SocketAddress(.unspecified, port: 0).withName { bind(file, $0, $1) } == 0
                && (type == SOCK_DGRAM || listen(file, 64) == 0)
            guard isBound else {
                close(file)
                return nil
            }
            return (file, SocketAddress.taking { getsockname(file, $0, $1) }.name.port)
        }

        /// Sends a frame, which reaches nothing but this target's sockets.
        func send(_ frame: [UInt8]) {
            var frame = frame
            lead(&frame)
            guest.send(frame)
        }

        private func lead(_ frame: inout [UInt8]) {
            guard frame.count >= 34 else { return }
            let isV6 = frame[12] == 0x86 && frame[13] == 0xDD
            let (next, start) = isV6 ? (20, 54) : (23, 14 + Int(frame[14] & 15) * 4)
            if isV6, frame.count >= 54 {
                let target = frame[53] & 1 == 0 ? v6 : UserNetworkAddress.nameServerV6
                frame.replaceSubrange(38..<54, with: GuestModel.octets(target))
            } else {
                frame.replaceSubrange(30..<34, with: [10, 0, 2, frame[33] & 1 == 0 ? 2 : 3])
            }
            guard frame.count >= start + 4 else { return }
            // The port of a flow that the host began is nobody's to ask for.
            guard
                seen.map({ Array(frame[(start + 2)..<(start + 4)]) != word($0.remote.port) })
                    ?? true
            else { return }
            frame.replaceSubrange(
                (start + 2)..<(start + 4), with: word(frame[next] == 17 ? ports.udp : ports.tcp))
        }

        private func word(_ value: UInt16) -> [UInt8] { GuestModel.octets(value) }

        func connect(overIPv6: Bool) {
            let address = overIPv6 ? NetworkAddress.loopback : NetworkAddress(0x7F00_0001)
            let flags = Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            let place = SocketAddress(address, port: port)
            let file = socket(place.family, Int32(SOCK_STREAM.rawValue) | flags, 0)
            guard file >= 0 else { return }
            _ = place.connect(file)
            files.append(file)
        }
    }

    static func run(_ octets: RawSpan) {
        var input = FuzzInput(octets)
        guard let model = Model() else { return }
        var actions = 0
        while !input.isEmpty, actions < 200 {
            act(&input, model)
            actions += 1
            precondition(model.guest.network.flowCount <= 168)
        }
        // Whoever asks properly is answered, whatever was before.
        while !model.guest.receive().isEmpty {}
        model.guest.send(templates[1])
        precondition(model.guest.receive().contains { $0.count == 86 && $0[54] == 136 })
    }

    private static func act(_ input: inout FuzzInput, _ model: Model) {
        switch input.next() % 7 {
        case 0:
            let length = Int(input.next()) * 4
            var frame = [UInt8](repeating: input.next(), count: max(length, 34))
            for index in 12..<min(24, frame.count) { frame[index] = input.next() }
            model.send(frame)
        case 1:
            var frame = templates[Int(input.next()) % templates.count]
            for _ in 0..<(input.next() & 7) {
                frame[Int(input.next()) % frame.count] = input.next()
            }
            model.send(frame)
        case 2:
            for frame in model.guest.receive() {
                if let segment = SeenSegment(frame) { model.seen = segment }
                precondition(frame.count <= 1514)
            }
        case 3:
            let octets = [UInt8](repeating: 7, count: Int(input.next()) * 100)
            let file = accept(model.server.tcp, nil, nil)
            if file >= 0 { model.files.append(file) }
            for file in model.files.suffix(4) {
                _ = Glibc.send(file, octets, octets.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            }
            answerDatagram(model, octets)
        case 4: model.connect(overIPv6: input.next() & 1 == 1)
        case 5: answerSegment(&input, model)
        default:
            if let file = model.files.popLast() { close(file) }
            model.guest.network.nextAdvertisement = 0
        }
    }

    /// Sends back to who sent last.
    private static func answerDatagram(_ model: Model, _ octets: [UInt8]) {
        var buffer = [UInt8](repeating: 0, count: 2048)
        let (count, name) = SocketAddress.taking {
            recvfrom(model.server.udp, &buffer, buffer.count, 0, $0, $1)
        }
        guard count >= 0 else { return }
        _ = name.withName { sendto(model.server.udp, octets, octets.count, 0, $0, $1) }
    }

    /// What fits the segment that the guest has seen last, or nearly.
    private static func answerSegment(_ input: inout FuzzInput, _ model: Model) {
        guard let seen = model.seen else { return }
        let kind = input.next()
        let flags: [UInt8] = [0x12, 0x10, 0x11, 0x18, 0x04, 0x14]
        let payload = [UInt8](repeating: kind, count: Int(kind >> 3) * 10)
        let sequence = seen.flags & TCPFlag.syn != 0 ? 5000 : seen.acknowledgement
        let next = seen.sequence &+ UInt32(seen.payload.count) &+ (kind & 1 == 0 ? 1 : 0)
        let head =
            GuestModel.octets(seen.guestPort) + GuestModel.octets(seen.remote.port)
            + GuestModel.octets(sequence) + GuestModel.octets(next)
            + [0x50, flags[Int(kind) % flags.count], kind, kind, 0, 0, 0, 0]
        model.send(
            GuestModel.packet(6, to: seen.remote.address, from: seen.guest, head + payload))
    }
}
