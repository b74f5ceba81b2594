// A DHCP server for tests, written from RFC 2131 apart from the client: it reads options from octets.

import SwiftletNetwork

/// What a client sent, as the server reads it.
struct ClientMessage {
    var source: IPv4Address
    var destination: IPv4Address
    var payload: [UInt8]
    var options: [UInt8: [UInt8]] = [:]

    /// Reads a frame; nil if it is not a DHCP client's message.
    init?(frame: [UInt8]) {
        guard frame.count >= 14 + 20 + 8 + 240, frame[12] == 8, frame[13] == 0, frame[23] == 17,
            frame[34...37].elementsEqual([0, 68, 0, 67])
        else { return nil }
        source = IPv4Address(frame[26], frame[27], frame[28], frame[29])
        destination = IPv4Address(frame[30], frame[31], frame[32], frame[33])
        let pseudo = Frames.pseudoHeader(source, destination, 17, frame.count - 34)
        guard naiveSum(pseudo + frame[34...]) == 0xFFFF else { return nil }
        payload = Array(frame[42...])
        guard payload[0...3].elementsEqual([1, 1, 6, 0]),
            payload[236..<240].elementsEqual([0x63, 0x82, 0x53, 0x63])
        else { return nil }
        var offset = 240
        while payload[offset] != 255 {
            let length = Int(payload[offset + 1])
            options[payload[offset]] = Array(payload[offset + 2..<offset + 2 + length])
            offset += 2 + length
        }
    }

    var type: UInt8 { options[53]?.first ?? 0 }
    var transaction: [UInt8] { Array(payload[4..<8]) }
    var clientAddress: [UInt8] { Array(payload[12..<16]) }
}

/// A server's answer, octet by octet.
struct ServerMessage {
    var type: UInt8
    var transaction: [UInt8]
    var your = DHCPTests.offered
    var hardware = LonelyStack.hardware
    var options: [(UInt8, [UInt8])] = []

    init(_ type: UInt8, to message: ClientMessage) {
        self.type = type
        transaction = message.transaction
        options = [
            (53, [type]), (54, be32(DHCPTests.server.bits)), (1, [255, 255, 255, 0]),
            (3, be32(DHCPTests.server.bits)), (6, [9, 9, 9, 9, 8, 8, 8, 8]),
            (51, be32(3600)),
        ]
    }

    mutating func set(_ code: UInt8, _ value: [UInt8]?) {
        options.removeAll { $0.0 == code }
        if let value { options.append((code, value)) }
    }

    var payload: [UInt8] {
        var bytes: [UInt8] = [2, 1, 6, 0] + transaction + [0, 0, 0, 0, 0, 0, 0, 0]
        bytes += be32(your.bits) + [UInt8](repeating: 0, count: 8) + be48(hardware)
        bytes += [UInt8](repeating: 0, count: 236 - bytes.count) + [0x63, 0x82, 0x53, 0x63]
        for (code, value) in options { bytes += [code, UInt8(value.count)] + value }
        return bytes + [255]
    }

    func frame(to destination: IPv4Address, hardware: UInt64) -> [UInt8] {
        let datagram = Frames.udp(
            from: (DHCPTests.server, 67), to: (destination, 68), payload)
        return Frames.ethernet(
            to: hardware, from: LonelyStack.peerHardware, type: 0x0800,
            Frames.ipv4(
                from: DHCPTests.server, to: destination, protocolNumber: 17, datagram))
    }
}
