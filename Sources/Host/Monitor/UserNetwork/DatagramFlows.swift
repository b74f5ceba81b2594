// UDP: a socket for each pair of a guest's port and whom it speaks to, and those of published ports.

import CSwiftletKVM
import Glibc

/// All flows of datagrams, bounded in number; the one that was used longest ago makes room.
struct DatagramFlows {
    /// Octets of the longest datagram over IPv6, and over IPv4: an IP packet of 64 KiB without headers.
    private static let longestPayload = 65527
    private static let longestPayloadIPv4 = 65507

    private struct Flow {
        var key: FlowKey
        var file: Int32
        /// Whom the published port's socket sends to; nil if the socket is the flow's own.
        var client: SocketAddress?
        var used: UInt64
    }

    let published: [(file: Int32, guestPort: UInt16)]
    private let limit: Int
    private var flows: [Flow?] = []
    private var slots: [FlowKey: Int] = [:]
    private var identification: UInt16 = 0
    private let buffer = UnsafeMutableRawPointer.allocate(
        byteCount: longestPayload, alignment: 16)

    init(published: [(file: Int32, guestPort: UInt16)], limit: Int) {
        self.published = published
        self.limit = limit
    }

    // MARK: From the guest

    mutating func send(_ packet: GuestPacket, _ network: UserNetwork) {
        let octets = packet.payload
        guard octets.count >= GuestPacket.udpSize else { return }
        let length = Int(octets.word16(4))
        let remote = SocketAddress(packet.destination, port: octets.word16(2))
        guard length >= GuestPacket.udpSize, length <= octets.count, remote.port != 0 else {
            return
        }
        let key = FlowKey(
            remote: remote, guestPort: octets.word16(0), guest: packet.source)
        guard let slot = slots[key] ?? open(key, network), let flow = flows[slot] else { return }
        flows[slot]?.used = network.now
        let payload = UnsafeRawBufferPointer(rebasing: octets[GuestPacket.udpSize..<length])
        let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
        // What the host does not take is lost, as on any wire.
        guard let client = flow.client else {
            _ = Glibc.send(flow.file, payload.baseAddress, payload.count, flags)
            return
        }
        _ = client.withName {
            sendto(flow.file, payload.baseAddress, payload.count, flags, $0, $1)
        }
    }

    /// A socket for what the guest sends first; nil if it goes nowhere.
    private mutating func open(_ key: FlowKey, _ network: UserNetwork) -> Int? {
        guard let target = network.onHost(key.remote) else { return nil }
        makeRoom()
        let file = socket(target.family, Int32(SOCK_DGRAM.rawValue) | UserNetwork.socketFlags, 0)
        guard file >= 0 else { return nil }
        guard target.connect(file) == 0 else {
            close(file)
            return nil
        }
        let slot = add(Flow(key: key, file: file, client: nil, used: network.now))
        network.watchDatagrams(file, slot: slot)
        return slot
    }

    private mutating func add(_ flow: Flow) -> Int {
        let slot = flows.firstIndex { $0 == nil } ?? flows.count
        if slot == flows.count { flows.append(flow) } else { flows[slot] = flow }
        slots[flow.key] = slot
        return slot
    }

    private mutating func makeRoom() {
        guard slots.count >= limit else { return }
        let oldest = flows.indices.min {
            (flows[$0]?.used ?? .max) < (flows[$1]?.used ?? .max)
        }
        guard let oldest, let flow = flows[oldest] else { return }
        if flow.client == nil { close(flow.file) }
        slots[flow.key] = nil
        flows[oldest] = nil
    }

    func closeAll() {
        for case let flow? in flows where flow.client == nil { close(flow.file) }
        buffer.deallocate()
    }

    // MARK: From the host

    /// Datagrams for the flow in `slot`.
    mutating func receive(_ slot: Int, _ network: UserNetwork) {
        guard slot < flows.count, let flow = flows[slot] else { return }
        for _ in 0..<64 {
            let count = recv(flow.file, buffer, Self.longestPayload, Int32(MSG_DONTWAIT))
            // An error is the peer's refusal, and forgotten by having been told.
            guard count >= 0 else { return }
            flows[slot]?.used = network.now
            deliver(flow.key, count, network)
        }
    }

    /// Datagrams for a published port.
    mutating func receivePublished(_ index: Int, _ network: UserNetwork) {
        let (file, guestPort) = published[index]
        for _ in 0..<64 {
            let (count, client) = SocketAddress.taking {
                recvfrom(file, buffer, Self.longestPayload, Int32(MSG_DONTWAIT), $0, $1)
            }
            guard count >= 0 else { return }
            var key = FlowKey(
                remote: SocketAddress(
                    UserNetworkAddress.inGuest(client.address), port: client.port),
                guestPort: guestPort)
            // Somebody else's, whom the guest knows by the same name.
            while let slot = slots[key], let flow = flows[slot],
                flow.client != client || flow.file != file
            {
                key.remote.port = key.remote.port == .max ? 1024 : key.remote.port + 1
            }
            if let slot = slots[key] {
                flows[slot]?.used = network.now
            } else {
                makeRoom()
                _ = add(Flow(key: key, file: file, client: client, used: network.now))
            }
            deliver(key, count, network)
        }
    }

    /// Sends the first `count` octets of the buffer to the guest, in fragments if need be.
    private mutating func deliver(_ key: FlowKey, _ count: Int, _ network: UserNetwork) {
        // One that came over IPv6 may be too long for IPv4.
        guard count <= Self.longestPayloadIPv4 || !key.guest.isV4 else { return }
        let length = GuestPacket.udpSize + count
        let fragmentation = Fragmentation(key, length)
        // All of it or nothing: a datagram without one of its fragments is none.
        guard network.link.hasRoom(length + fragmentation.overhead) else { return }
        var header = (UInt64(0))
        withUnsafeMutableBytes(of: &header) {
            guard let place = $0.baseAddress else { return }
            place.store16(key.remote.port, 0)
            place.store16(key.guestPort, 2)
            place.store16(UInt16(length), 4)
            let pseudo = Checksum.pseudoHeader(
                key.remote.address, key.guest, UInt8(IPPROTO_UDP), length)
            let sum = Checksum.sum(buffer, count, Checksum.sum(place, GuestPacket.udpSize, pseudo))
            let checksum = Checksum.finish(sum)
            // Zero would mean that there is none (RFC 768).
            place.storeBytes(
                of: checksum == 0 ? 0xFFFF : checksum, toByteOffset: 6, as: UInt16.self)
        }
        identification &+= 1
        var offset = 0
        while offset < length {
            let part = min(length - offset, fragmentation.size)
            guard let frame = network.link.append(fragmentation.before + part) else { return }
            fragmentation.write(
                frame, network.headers, identification, offset: offset, length: part)
            let payload = frame + fragmentation.before
            if offset == 0 {
                payload.storeBytes(of: header, as: UInt64.self)
                (payload + 8).copyMemory(from: buffer, byteCount: part - 8)
            } else {
                payload.copyMemory(from: buffer + (offset - 8), byteCount: part)
            }
            offset += part
        }
    }
}
