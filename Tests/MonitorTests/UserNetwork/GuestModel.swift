// A guest's end of the user network, made by hand: frames in and out, and one connection's state.

import CSwiftletKVM
import Glibc

@testable import SwiftletMonitor

/// A user network whose guest is the test. Everything happens in the test's own turns.
final class GuestModel {
    static let hardwareAddress: [UInt8] = [2, 0, 0, 0, 0, 1]
    /// What it has made of the prefix.
    static let ownAddress = NetworkAddress(high: UserNetworkAddress.prefix, low: 0xF00D)

    let network: UserNetwork
    private let file: Int32
    private var held: [UInt8] = []

    /// - Parameter ports: what is published; on ports that the host chooses.
    init(
        _ ports: [PublishedPort] = [], sockets: [Int32] = [], nameServer: SocketAddress? = nil,
        hasIPv6: Bool = true
    ) {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        precondition(socketpair(AF_UNIX, type, 0, &ends) == 0)
        file = ends[0]
        network = UserNetwork(
            link: FrameStream(ends[1]), hardwareAddress: Self.hardwareAddress,
            ports: Array(zip(ports, sockets)).map { (port: $0.0, file: $0.1) },
            nameServer: nameServer, hasIPv6: hasIPv6, descriptors: 400)
    }

    deinit {
        close(file)
        close(network.link.file)
    }

    /// Hands over a frame, and lets the network work.
    func send(_ frame: [UInt8]) {
        let length = UInt32(frame.count)
        let prefix = (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) }
        let octets = prefix + frame
        precondition(write(file, octets, octets.count) == octets.count)
        _ = network.turn(timeout: 0)
    }

    /// The frames that have come, after a turn that waits for at most a millisecond.
    func receive() -> [[UInt8]] {
        _ = network.turn(timeout: 1)
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while case let count = read(file, &buffer, buffer.count), count > 0 {
            held += buffer[..<count]
        }
        var frames: [[UInt8]] = []
        var start = 0
        while held.count - start >= 4 {
            let length = held[start..<start + 4].reduce(0) { $0 << 8 | Int($1) }
            guard held.count - start - 4 >= length else { break }
            frames.append(Array(held[start + 4..<start + 4 + length]))
            start += 4 + length
        }
        held.removeFirst(start)
        return frames
    }

    /// Waits for a frame that `isWanted`; nil if none comes.
    func wait(_ isWanted: ([UInt8]) -> Bool) -> [UInt8]? {
        for _ in 0..<5000 {
            if let frame = receive().first(where: isWanted) { return frame }
        }
        return nil
    }

    /// A packet of the guest's in its frame; of the version of `address`.
    static func packet(
        _ protocolNumber: UInt8, to address: NetworkAddress,
        from source: NetworkAddress = ownAddress,
        hopLimit: UInt8 = 64, _ payload: [UInt8]
    ) -> [UInt8] {
        let addresses = UserNetworkAddress.hardware + hardwareAddress
        guard let v4 = address.v4 else {
            return addresses + [0x86, 0xDD, 0x60, 0, 0, 0] + octets(UInt16(payload.count))
                + [protocolNumber, hopLimit] + octets(source) + octets(address) + payload
        }
        return addresses + [8, 0, 0x45, 0] + octets(UInt16(20 + payload.count))
            + [0, 0, 0x40, 0, 64, protocolNumber, 0, 0]
            + octets(UserNetworkAddress.guest) + octets(v4) + payload
    }

    static func octets(_ address: NetworkAddress) -> [UInt8] {
        octets(address.high) + octets(address.low)
    }

    static func octets<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    static func datagram(from: UInt16, to: SocketAddress, _ payload: [UInt8]) -> [UInt8] {
        packet(
            17, to: to.address,
            octets(from) + octets(to.port) + octets(UInt16(8 + payload.count)) + [0, 0] + payload)
    }

    /// Whether the checksum of a TCP or UDP packet to the guest is right, and the header's.
    static func hasRightChecksums(_ frame: [UInt8]) -> Bool {
        frame.withUnsafeBytes { frame in
            guard let packet = GuestPacket(frame) else { return false }
            let header = frame.baseAddress! + 14
            let (payload, count) = (packet.payload.baseAddress!, packet.payload.count)
            let pseudo = Checksum.pseudoHeader(
                packet.source, packet.destination, packet.protocolNumber, count)
            return Checksum.finish(Checksum.sum(payload, count, pseudo)) == 0
                && (!packet.source.isV4 || Checksum.finish(Checksum.sum(header, 20)) == 0)
        }
    }
}

/// A TCP segment to the guest, taken apart.
struct SeenSegment {
    var remote: SocketAddress
    var guest: NetworkAddress
    var guestPort: UInt16
    var sequence: UInt32
    var acknowledgement: UInt32
    var flags: UInt8
    var window: UInt16
    var payload: [UInt8]

    init?(_ frame: [UInt8]) {
        let seen = frame.withUnsafeBytes { frame -> SeenSegment? in
            guard let packet = GuestPacket(frame), packet.protocolNumber == 6,
                let segment = GuestSegment(packet.payload)
            else { return nil }
            return SeenSegment(packet, segment)
        }
        guard let seen else { return nil }
        self = seen
    }

    private init(_ packet: GuestPacket, _ segment: GuestSegment) {
        remote = SocketAddress(packet.source, port: segment.sourcePort)
        (guest, guestPort) = (packet.destination, segment.destinationPort)
        (sequence, acknowledgement) = (segment.sequence, segment.acknowledgement)
        (flags, window) = (segment.flags, segment.window)
        payload = Array(segment.payload)
    }
}

/// The guest's end of one connection; takes segments in order and forgets what is lost on purpose.
final class ConnectionModel {
    let guest: GuestModel
    let remote: SocketAddress
    let port: UInt16
    /// The next octet that is sent, and the next that is expected.
    var sequence: UInt32 = 1000
    var expected: UInt32 = 0
    var acknowledged: UInt32 = 1000
    var window: UInt16 = 20000
    private(set) var peerWindow: UInt16 = 0
    private(set) var received: [UInt8] = []
    private(set) var hasEnded = false
    private(set) var wasReset = false
    /// Drops each so manieth segment; 0 for none.
    var loses = 0
    private var count = 0

    init(_ guest: GuestModel, _ remote: SocketAddress, _ port: UInt16) {
        (self.guest, self.remote, self.port) = (guest, remote, port)
    }

    /// Answers the SYN of a connection that the host opens; nil if none comes.
    convenience init?(answering guest: GuestModel, port: UInt16) {
        let frame = guest.wait { SeenSegment($0)?.flags == TCPFlag.syn }
        guard let frame, let segment = SeenSegment(frame), segment.guestPort == port else {
            return nil
        }
        self.init(guest, segment.remote, port)
        expected = segment.sequence &+ 1
        send(TCPFlag.syn | TCPFlag.acknowledge, options: [2, 4, 5, 0xB4])
        sequence &+= 1
    }

    func send(_ flags: UInt8, _ payload: [UInt8] = [], options: [UInt8] = [], at: UInt32? = nil) {
        let words = UInt8(5 + options.count / 4)
        var segment = GuestModel.octets(port) + GuestModel.octets(remote.port)
        segment += GuestModel.octets(at ?? sequence) + GuestModel.octets(expected)
        segment += [words << 4, flags] + GuestModel.octets(window) + [0, 0, 0, 0]
        guest.send(GuestModel.packet(6, to: remote.address, segment + options + payload))
    }

    /// One turn: takes what has come and acknowledges it.
    func turn() {
        var isNew = false
        for frame in guest.receive() {
            guard let segment = SeenSegment(frame), segment.remote == remote else { continue }
            count += 1
            if loses > 0, count % loses == 0 { continue }
            if segment.flags & TCPFlag.reset != 0 { wasReset = true }
            if segment.flags & TCPFlag.acknowledge != 0 {
                if Int32(bitPattern: segment.acknowledgement &- acknowledged) > 0 {
                    acknowledged = segment.acknowledgement
                }
                peerWindow = segment.window
            }
            guard !segment.payload.isEmpty || segment.flags & TCPFlag.fin != 0 else { continue }
            isNew = true
            guard segment.sequence == expected else { continue }
            received += segment.payload
            expected &+= UInt32(segment.payload.count)
            if segment.flags & TCPFlag.fin != 0 {
                expected &+= 1
                hasEnded = true
            }
        }
        if isNew { send(TCPFlag.acknowledge) }
    }

    /// Turns until `isDone`; false if that never comes.
    func turn(until isDone: () -> Bool) -> Bool {
        for _ in 0..<20000 where !isDone() { turn() }
        return isDone()
    }
}
