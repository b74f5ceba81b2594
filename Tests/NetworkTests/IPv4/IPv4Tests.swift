// RFC 791 and RFC 1122 §3: headers, options, routes, and addresses as text.

import SwiftletTestSupport
import Testing

@testable import SwiftletNetwork

@Suite struct IPv4HeaderTests {
    private let from = IPv4Address(10, 1, 2, 3)
    private let to = IPv4Address(10, 4, 5, 6)

    @Test func rfc791Section3_1FieldsAreRead() throws {
        let packet = Frames.ipv4(
            from: from, to: to, protocolNumber: 17, [1, 2, 3], identification: 0xBEEF,
            fragment: 0x2000 | 5, ttl: 9)
        let header = try #require(seen(IPv4Header((packet + [0, 0]).span.bytes)))
        #expect(header.totalLength == 23)
        #expect(header.headerLength == 20)
        #expect(header.identification == 0xBEEF)
        #expect(header.moreFragments && !header.dontFragment)
        #expect(header.fragmentOffset == 40)
        #expect(header.timeToLive == 9)
        #expect(header.protocolNumber == 17)
        #expect(header.source == from && header.destination == to)
    }

    @Test func everyTruncationAndEveryFlippedBitIsRefused() {
        let packet = Frames.ipv4(from: from, to: to, protocolNumber: 6, [9, 9, 9, 9])
        for length in 0..<packet.count {
            #expect(seen(IPv4Header(packet.span.bytes.extracting(0..<length)) == nil))
        }
        // The header checksum finds every single bit.
        for bit in 0..<160 {
            var bad = packet
            bad[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(seen(IPv4Header(bad.span.bytes) == nil))
        }
    }

    @Test func rfc1122Section3_2_1_8OptionsAreChecked() {
        let sound: [[UInt8]] = [
            [1, 1, 1, 0], [0, 99, 99, 99], [7, 7, 4, 0, 0, 0, 0, 0], [148, 4, 0, 0],
        ]
        for options in sound {
            let packet = Frames.ipv4(from: from, to: to, protocolNumber: 6, [5], options: options)
            #expect(seen(IPv4Header(packet.span.bytes)?.headerLength == 20 + options.count))
        }
        let hostile: [[UInt8]] = [
            [7, 0, 0, 0], [7, 1, 0, 0], [7, 5, 0, 0], [1, 1, 1, 7], [7, 255, 0, 0],
            // Source routes, loose and strict.
            [131, 3, 4, 0], [137, 3, 4, 0],
        ]
        for options in hostile {
            let packet = Frames.ipv4(from: from, to: to, protocolNumber: 6, [5], options: options)
            #expect(seen(IPv4Header(packet.span.bytes) == nil))
        }
    }

    @Test func writtenHeadersEqualIndependentOnes() {
        var random = SeededRandom(seed: 791)
        for _ in 0..<300 {
            let from = IPv4Address(bits: UInt32(truncatingIfNeeded: random.next()))
            let to = IPv4Address(bits: UInt32(truncatingIfNeeded: random.next()))
            let identification = UInt16(truncatingIfNeeded: random.next())
            var bytes = [UInt8](repeating: 0xFF, count: 34)
            do {
                var span = bytes.mutableSpan
                var raw = span.mutableBytes
                IPv4Header.write(
                    into: &raw, at: 14, totalLength: 20, protocolNumber: 6, from: from, to: to,
                    identification: identification, fragment: 0x4000)
            }
            let expected = Frames.ipv4(
                from: from, to: to, protocolNumber: 6, [], identification: Int(identification),
                fragment: 0x4000)
            #expect(Array(bytes[14...]) == expected)
        }
    }

    @Test func rfc1122Section3_2_1_3SourcesThatAreNoHostAreDropped() {
        var peer = LonelyStack()
        let echo = Frames.icmp(type: 8, code: 0, [1])
        let sources = [
            IPv4Address(0, 0, 0, 0), IPv4Address(127, 0, 0, 1), IPv4Address(224, 0, 0, 1),
            IPv4Address(255, 255, 255, 255), IPv4Address(192, 168, 7, 255), LonelyStack.address,
        ]
        for source in sources {
            peer.receivePacket(
                Frames.ipv4(from: source, to: LonelyStack.address, protocolNumber: 1, echo))
        }
        #expect(seen(peer.sent().isEmpty))
        #expect(seen(peer.stack.statistics.droppedIPv4Headers == UInt64(sources.count)))
    }

    @Test func rfc1122Section3_2_1_1OthersPacketsAreDropped() {
        var peer = LonelyStack()
        let echo = Frames.icmp(type: 8, code: 0, [1])
        for to in [IPv4Address(192, 168, 7, 11), IPv4Address(127, 0, 0, 1), LonelyStack.stranger] {
            peer.receivePacket(
                Frames.ipv4(from: LonelyStack.peer, to: to, protocolNumber: 1, echo))
        }
        // A frame for another station.
        peer.receivePacket(
            Frames.ipv4(
                from: LonelyStack.peer, to: LonelyStack.address, protocolNumber: 1, echo),
            to: 0x0200_0000_0077)
        #expect(seen(peer.sent().isEmpty))
        #expect(seen(peer.stack.statistics.droppedNotForUs == 4))
    }
}

@Suite struct RouteTests {
    private let configuration = IPv4Configuration(
        IPv4Network(IPv4Address(172, 16, 4, 9), prefixLength: 22),
        gateway: IPv4Address(172, 16, 4, 1))

    @Test func rfc1122Section3_3_1_1LocalAndRemote() {
        let cases: [(IPv4Address, Route)] = [
            (IPv4Address(172, 16, 7, 254), .link(IPv4Address(172, 16, 7, 254))),
            (IPv4Address(172, 16, 8, 1), .link(IPv4Address(172, 16, 4, 1))),
            (IPv4Address(8, 8, 8, 8), .link(IPv4Address(172, 16, 4, 1))),
            (IPv4Address(172, 16, 7, 255), .group(0xFFFF_FFFF_FFFF)),
            (IPv4Address(255, 255, 255, 255), .group(0xFFFF_FFFF_FFFF)),
            (IPv4Address(239, 129, 2, 3), .group(0x0100_5E01_0203)),
            (IPv4Address(172, 16, 4, 9), .loopback),
            (IPv4Address(127, 9, 9, 9), .loopback),
            (IPv4Address(0, 0, 0, 0), .unreachable),
        ]
        for (destination, route) in cases {
            #expect(Route.find(to: destination, configuration: configuration) == route)
        }
    }

    @Test func withoutGatewayOrAddressOthersAreUnreachable() {
        var alone = configuration
        alone.gateway = nil
        let far = IPv4Address(8, 8, 8, 8)
        #expect(Route.find(to: far, configuration: alone) == .unreachable)
        #expect(Route.find(to: far, configuration: nil) == .unreachable)
        #expect(Route.find(to: .broadcast, configuration: nil) == .group(0xFFFF_FFFF_FFFF))
    }

    @Test func aHostRouteOf32BitsReachesItsGateway() {
        let cloud = IPv4Configuration(
            IPv4Network(IPv4Address(10, 128, 0, 2), prefixLength: 32),
            gateway: IPv4Address(10, 128, 0, 1))
        let far = IPv4Address(8, 8, 8, 8)
        #expect(
            seen(Route.find(to: far, configuration: cloud) == .link(IPv4Address(10, 128, 0, 1))))
        #expect(cloud.network.broadcast == nil)
    }
}

@Suite struct AddressTextTests {
    private func address(_ text: StaticString) -> IPv4Address? {
        let bytes = text.withUTF8Buffer { [UInt8]($0) }
        return IPv4Address(parsing: bytes.span.bytes)
    }

    private func network(_ text: StaticString) -> IPv4Network? {
        let bytes = text.withUTF8Buffer { [UInt8]($0) }
        return IPv4Network(parsing: bytes.span.bytes)
    }

    @Test func addressesAreRead() {
        #expect(address("10.0.2.15") == IPv4Address(10, 0, 2, 15))
        #expect(address("255.255.255.255") == .broadcast)
        #expect(address("0.0.0.0") == .any)
    }

    @Test func everythingElseIsRefused() {
        let bad: [StaticString] = [
            "", "1", "1.2.3", "1.2.3.", "1.2.3.4.", "1.2.3.4 ", " 1.2.3.4", "1.2.3.256",
            "1.2.3.1000", "01.2.3.4", "1..2.3", "a.b.c.d", "1.2.3.4/24", "-1.2.3.4", "1.2.3.0x4",
            "99999999999999999999.1.1.1", "1.2.3.00",
        ]
        for text in bad { #expect(address(text) == nil, "\(text)") }
        let badNetworks: [StaticString] = ["1.2.3.4", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/08", "/8"]
        for text in badNetworks { #expect(network(text) == nil, "\(text)") }
    }

    @Test func networksAreRead() {
        #expect(
            network("10.0.2.15/24")
                == IPv4Network(IPv4Address(10, 0, 2, 15), prefixLength: 24))
        #expect(network("10.0.2.15/0")?.mask == 0)
        #expect(network("10.0.2.15/32")?.mask == .max)
        #expect(network("10.0.2.15/20")?.broadcast == IPv4Address(10, 0, 15, 255))
    }

    @Test func whatIsWrittenIsReadBack() {
        var random = SeededRandom(seed: 5)
        for index in 0..<2000 {
            var bits = UInt32(truncatingIfNeeded: random.next())
            if index % 2 == 0 { bits &= 0x0F0F_6300 | UInt32(index % 256) }
            var bytes = [UInt8](repeating: 0, count: IPv4Address.longestText)
            let count: Int
            do {
                var span = bytes.mutableSpan
                var raw = span.mutableBytes
                count = IPv4Address(bits: bits).format(into: &raw)
            }
            let text = bytes.span.bytes.extracting(0..<count)
            #expect(seen(IPv4Address(parsing: text)?.bits == bits))
            var short = [UInt8](repeating: 0, count: count - 1)
            var span = short.mutableSpan
            var raw = span.mutableBytes
            #expect(IPv4Address(bits: bits).format(into: &raw) == 0)
        }
    }
}
