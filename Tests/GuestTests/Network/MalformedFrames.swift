// Frames that no honest station sends, by layer.

import SwiftletNetwork
import SwiftletTestSupport

/// A layer of the stack, and what is sent to harm it.
enum Layer: String, CaseIterable, Sendable {
    case ethernet, arp, ipv4, fragments, icmp, udp, tcp

    /// Groups of frames by name.
    var malformed: [(String, [[UInt8]])] {
        switch self {
        case .ethernet: Self.ethernetFrames
        case .arp: Self.arpFrames
        case .ipv4: Self.ipv4Frames
        case .fragments: Self.fragmentFrames
        case .icmp: Self.icmpFrames
        case .udp: Self.udpFrames
        case .tcp: Self.tcpFrames
        }
    }

    private static var ethernetFrames: [(String, [[UInt8]])] {
        let packet = Array(HandMade.packet(17, HandMade.udp([1])).dropFirst(14))
        let guest = NetworkNamespace.guestMAC
        let host = NetworkNamespace.hostMAC
        func frame(_ to: UInt64, _ from: UInt64, _ type: Int) -> [UInt8] {
            Frames.ethernet(to: to, from: from, type: type, packet)
        }
        return [
            (
                "a header and nothing else",
                [frame(guest, host, 0x0800)].map { Array($0.prefix(14)) }
            ),
            (
                "half a header of IPv4",
                (15...33).map { Array(frame(guest, host, 0x0800).prefix($0)) }
            ),
            ("a length for a type", [frame(guest, host, 46)]),
            (
                "types that nobody speaks",
                [0, 0x0805, 0x86DD, 0x8100, 0x88CC, 0xFFFF].map { frame(guest, host, $0) }
            ),
            ("from a group", [frame(guest, Frames.broadcast, 0x0800)]),
            ("from the guest itself", [frame(guest, guest, 0x0800)]),
            (
                "to all, and to a group",
                [frame(Frames.broadcast, host, 0x0800), frame(0x0100_5E00_0001, host, 0x0800)]
            ),
            (
                "as long as can be",
                [
                    frame(guest, host, 0x0800)
                        + [UInt8](repeating: 0, count: 1514 - 14 - packet.count)
                ]
            ),
        ]
    }

    private static var arpFrames: [(String, [[UInt8]])] {
        let whole = HandMade.valid[0]
        func changed(_ place: Int, _ octets: UInt8...) -> [UInt8] {
            var frame = whole
            frame.replaceSubrange((14 + place)..<(14 + place + octets.count), with: octets)
            return frame
        }
        return [
            ("cut short", (14..<42).map { Array(whole.prefix($0)) }),
            ("other hardware", [changed(0, 0, 6), changed(0, 0xFF, 0xFF)]),
            ("other protocols", [changed(2, 0x86, 0xDD)]),
            ("lengths of addresses", [changed(4, 0, 0), changed(4, 255, 255), changed(4, 6, 16)]),
            ("operations", [changed(6, 0, 0), changed(6, 0, 9), changed(6, 255, 255)]),
            ("from a group", [changed(8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF)]),
            (
                "from nobody",
                [
                    changed(14, 0, 0, 0, 0), changed(14, 255, 255, 255, 255),
                    changed(14, 224, 0, 0, 1),
                ]
            ),
            ("from the guest's own address", [changed(14, 10, 77, 0, 2)]),
            (
                "answers that nobody asked for",
                (1...200).map {
                    var frame = changed(6, 0, 2)
                    frame.replaceSubrange(28..<32, with: [10, 77, 0, UInt8(50 + $0)])
                    return frame
                }
            ),
        ]
    }

    private static var ipv4Frames: [(String, [[UInt8]])] {
        let whole = HandMade.packet(17, HandMade.udp([1, 2, 3, 4]))
        func changed(_ place: Int, _ octets: UInt8..., keepSum: Bool = false) -> [UInt8] {
            var frame = whole
            frame.replaceSubrange((14 + place)..<(14 + place + octets.count), with: octets)
            if !keepSum {
                frame[24] = 0
                frame[25] = 0
                frame.replaceSubrange(24..<26, with: be16(Int(~naiveSum(frame[14..<34]))))
            }
            return frame
        }
        func options(_ octets: [UInt8]) -> [UInt8] {
            HandMade.packet(17, HandMade.udp([1]), options: octets)
        }
        return [
            ("versions", (0...15).filter { $0 != 4 }.map { changed(0, UInt8($0 << 4 | 5)) }),
            (
                "headers too short or too long",
                (0...15).filter { $0 != 5 }.map { changed(0, 0x40 | UInt8($0)) }
            ),
            (
                "total lengths",
                [0, 1, 19, 20, 21, 27, 33, 1500, 65535].map {
                    changed(2, UInt8($0 >> 8), UInt8($0 & 255))
                }
            ),
            (
                "a wrong checksum",
                [changed(10, 0, 0, keepSum: true), changed(10, 0xFF, 0xFF, keepSum: true)]
            ),
            ("no time to live", [changed(8, 0)]),
            ("the flag that must be zero", [changed(6, 0x80, 0)]),
            (
                "protocols",
                (0...255).filter { ![1, 6, 17].contains($0) }.map { changed(9, UInt8($0)) }
            ),
            (
                "sources that cannot be",
                [
                    changed(12, 0, 0, 0, 0), changed(12, 127, 0, 0, 1), changed(12, 224, 0, 0, 1),
                    changed(12, 255, 255, 255, 255), changed(12, 10, 77, 0, 255),
                    changed(12, 10, 77, 0, 2),
                ]
            ),
            (
                "destinations that are not the guest",
                [
                    changed(16, 10, 77, 0, 3), changed(16, 127, 0, 0, 1), changed(16, 0, 0, 0, 0),
                    changed(16, 224, 0, 0, 1),
                ]
            ),
            (
                "options",
                [
                    options([7, 0, 0, 0]), options([7, 1, 0, 0]), options([7, 255, 4, 0]),
                    options([131, 3, 4, 0]), options([137, 7, 4, 1, 2, 3, 4, 0]),
                    options([68, 4, 5, 0]),
                    options([1, 1, 1, 7]), options([UInt8](repeating: 0x94, count: 40)),
                ]
            ),
        ]
    }

    private static var fragmentFrames: [(String, [[UInt8]])] {
        func piece(_ offset: Int, _ count: Int, more: Bool, _ id: Int) -> [UInt8] {
            HandMade.packet(
                17, [UInt8](repeating: UInt8(id & 255), count: count),
                fragment: (more ? 0x2000 : 0) | offset, identification: id)
        }
        return [
            ("overlapping", [piece(0, 64, more: true, 1), piece(4, 64, more: false, 1)]),
            ("one within the other", [piece(0, 800, more: true, 2), piece(1, 8, more: false, 2)]),
            (
                "beyond 65 535 octets",
                [piece(0, 800, more: true, 3), piece(8191, 800, more: false, 3)]
            ),
            (
                "two ends",
                [
                    piece(10, 80, more: false, 4), piece(20, 80, more: false, 4),
                    piece(0, 80, more: true, 4),
                ]
            ),
            (
                "a length not divisible by eight",
                [piece(0, 13, more: true, 5), piece(2, 8, more: false, 5)]
            ),
            (
                "empty ones",
                [
                    piece(0, 0, more: true, 6), piece(0, 0, more: false, 6),
                    piece(5, 0, more: true, 6),
                ]
            ),
            (
                "must not be fragmented, and is",
                [HandMade.packet(17, [1, 2, 3, 4, 5, 6, 7, 8], fragment: 0x6000)]
            ),
            ("thousands of beginnings", (100..<3100).map { piece(0, 1400, more: true, $0) }),
            ("thousands of ends", (100..<3100).map { piece(100, 1400, more: false, $0 + 5000) }),
        ]
    }

    private static var icmpFrames: [(String, [[UInt8]])] {
        let quoted = Array(HandMade.packet(6, HandMade.tcp(0x10)).dropFirst(14))
        let echo = Frames.icmp(type: 8, code: 0, rest: 1, [UInt8](repeating: 7, count: 32))
        var broken = echo
        broken[2] ^= 0xFF
        return [
            ("cut short", (0..<8).map { HandMade.packet(1, Array(echo.prefix($0))) }),
            ("a wrong checksum", [HandMade.packet(1, broken)]),
            (
                "types and codes",
                (0...255).map {
                    HandMade.packet(1, Frames.icmp(type: UInt8($0), code: UInt8(255 - $0), quoted))
                }
            ),
            (
                "errors that quote nothing",
                [3, 4, 5, 11, 12].map { HandMade.packet(1, Frames.icmp(type: $0, code: 0, [])) }
            ),
            (
                "errors that quote garbage",
                [3, 4, 5, 11, 12].flatMap { type in
                    (0...40).map {
                        HandMade.packet(
                            1, Frames.icmp(type: type, code: 4, [UInt8](repeating: 0x4F, count: $0))
                        )
                    }
                }
            ),
            (
                "paths of no width",
                [0, 1, 67, 68, 65535].map {
                    HandMade.packet(1, Frames.icmp(type: 3, code: 4, rest: $0, quoted))
                }
            ),
            ("a flood of echoes", [[UInt8]](repeating: HandMade.packet(1, echo), count: 2000)),
        ]
    }

    private static var udpFrames: [(String, [[UInt8]])] {
        let whole = HandMade.udp([1, 2, 3, 4])
        func length(_ value: Int) -> [UInt8] {
            var datagram = whole
            datagram.replaceSubrange(4..<6, with: be16(value))
            HandMade.mend(&datagram, at: 6, 17)
            return HandMade.packet(17, datagram)
        }
        var broken = whole
        broken[6] ^= 0x55
        return [
            ("cut short", (0..<12).map { HandMade.packet(17, Array(whole.prefix($0))) }),
            ("lengths", [0, 1, 7, 8, 11, 13, 1500, 65535].map(length)),
            ("a wrong checksum", [HandMade.packet(17, broken)]),
            (
                "from and to port 0",
                [
                    HandMade.packet(17, HandMade.udp([1], port: 0)),
                    HandMade.packet(17, HandMade.udp([1], from: 0)),
                ]
            ),
            (
                "to ports that are closed",
                (1000..<2000).map { HandMade.packet(17, HandMade.udp([1], port: $0)) }
            ),
            (
                "from the guest's echo to itself",
                [
                    HandMade.packet(
                        17, Frames.udp(from: (HandMade.guest, 7), to: (HandMade.guest, 7), [1]),
                        from: HandMade.guest)
                ]
            ),
            (
                "more than the echo can take",
                [[UInt8]](
                    repeating: HandMade.packet(
                        17, HandMade.udp([UInt8](repeating: 1, count: 1400))), count: 2000)
            ),
        ]
    }

    private static var tcpFrames: [(String, [[UInt8]])] {
        let whole = HandMade.tcp(0x02)
        var broken = whole
        broken[16] ^= 0x55
        let flags = (0...255).flatMap { flags in
            [80, 81].map { port in
                HandMade.packet(
                    6,
                    HandMade.tcp(
                        UInt8(flags), port: port, from: 5000 + flags, sequence: UInt32(flags) << 24,
                        acknowledgement: 0xDEAD_BEEF, window: flags, [1, 2, 3]))
            }
        }
        return [
            ("cut short", (0..<20).map { HandMade.packet(6, Array(whole.prefix($0))) }),
            ("a wrong checksum", [HandMade.packet(6, broken)]),
            ("offsets of data", (0...15).map { HandMade.tcp(options: [], offset: $0) }),
            (
                "options",
                [
                    [2, 0, 0, 0], [2, 1, 0, 0], [2, 3, 5, 0], [2, 4, 0, 0], [2, 255, 0, 0],
                    [3, 3, 255, 0],
                    [3, 2, 0, 0], [5, 0, 0, 0], [5, 255, 1, 1], [8, 10, 0, 0], [1, 1, 1, 2],
                    [254, 2, 1, 2],
                    [UInt8](repeating: 3, count: 40), [UInt8](repeating: 255, count: 40),
                    [UInt8](repeating: 1, count: 40),
                ].map { HandMade.tcp(options: $0) }
            ),
            ("all flags, to open and closed ports", flags),
            (
                "from and to port 0",
                [
                    HandMade.packet(6, HandMade.tcp(0x02, port: 0)),
                    HandMade.packet(6, HandMade.tcp(0x02, from: 0)),
                ]
            ),
            (
                "from the guest to itself",
                [
                    HandMade.packet(
                        6,
                        Frames.tcp(
                            from: (HandMade.guest, 80), to: (HandMade.guest, 80), sequence: 1,
                            acknowledgement: 0, flags: 2), from: HandMade.guest)
                ]
            ),
            (
                "a handshake that nobody began",
                (0..<500).map {
                    HandMade.packet(
                        6,
                        HandMade.tcp(
                            0x10, from: 10_000 + $0, acknowledgement: UInt32($0) &* 0x9E37_79B9))
                }
            ),
        ]
    }
}
