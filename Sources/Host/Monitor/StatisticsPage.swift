// The page of MachineStatistics.swift, written: made before the monitor confines itself, and after
// that no more than memory. Where it cannot be made the machine runs without.

import CSwiftletKVM
import Glibc
import SwiftletBootProtocol

/// Counters that others may look at.
struct StatisticsPage {
    private let page: UnsafeMutableRawPointer
    /// The memory file, which must stay open to be found; nil if there is none.
    let file: Int32?

    init() {
        var descriptor: Int32 = -1
        let size = MachineStatistics.size
        if let shared = swiftlet_shared_page(MachineStatistics.fileName, size, &descriptor) {
            (page, file) = (shared, descriptor)
        } else {
            page = .allocate(byteCount: size, alignment: 8)
            page.initializeMemory(as: UInt8.self, repeating: 0, count: size)
            file = nil
        }
        page.storeBytes(of: MachineStatistics.version, toByteOffset: 8, as: UInt64.self)
        page.storeBytes(of: MachineStatistics.magic, as: UInt64.self)
    }

    func count(_ counter: MachineStatistics.Counter) {
        set(counter, page.load(fromByteOffset: Self.offset(counter), as: UInt64.self) &+ 1)
    }

    func set(_ counter: MachineStatistics.Counter, _ value: UInt64) {
        page.storeBytes(of: value, toByteOffset: Self.offset(counter), as: UInt64.self)
    }

    func set(_ traffic: NetworkTraffic) {
        set(.receivedFrames, traffic.receivedFrames)
        set(.receivedOctets, traffic.receivedOctets)
        set(.sentFrames, traffic.sentFrames)
        set(.sentOctets, traffic.sentOctets)
    }

    func set(_ moment: MachineStatistics.Moment, _ time: UInt64) {
        page.storeBytes(
            of: time, toByteOffset: MachineStatistics.momentsOffset + moment.rawValue * 8,
            as: UInt64.self)
    }

    func set(_ moments: StartMoments) {
        for (moment, time) in moments.times { set(moment, time) }
    }

    private static func offset(_ counter: MachineStatistics.Counter) -> Int {
        (MachineStatistics.headerWords + counter.rawValue) * 8
    }

    /// Says lines of `key: value`; what has no room is cut.
    func say(_ text: String) {
        var text = text
        text.withUTF8 { octets in
            let room = MachineStatistics.size - MachineStatistics.textOffset - 1
            guard let start = octets.baseAddress else { return }
            (page + MachineStatistics.textOffset).copyMemory(
                from: start, byteCount: min(octets.count, room))
        }
    }
}

/// Moments of the start, kept until there is a page for them.
struct StartMoments {
    private(set) var times: [(MachineStatistics.Moment, UInt64)] = []

    /// Now is this moment.
    mutating func pass(_ moment: MachineStatistics.Moment) {
        times.append((moment, Self.now()))
    }

    /// Nanoseconds of the monotonic clock.
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
