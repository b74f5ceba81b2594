// A link of virtual time that loses, repeats, delays, reorders and corrupts frames, from a seed.

import SwiftletNetwork
import SwiftletTestSupport

/// How bad the link is. Chances are of a thousand.
struct LinkQuality {
    var loss = 0
    var duplication = 0
    var corruption = 0
    /// A frame that is chosen for this is held back by up to `reorderDelay`.
    var reordering = 0
    var delay: UInt64 = 100_000
    var reorderDelay: UInt64 = 2_000_000

    static var perfect: LinkQuality { LinkQuality() }
    static var bad: LinkQuality {
        LinkQuality(loss: 20, duplication: 10, corruption: 5, reordering: 20)
    }
}

/// Two stacks and what flies between them.
struct SimulatedLink: ~Copyable {
    private struct Flight {
        var arrival: UInt64
        /// Frames that arrive together keep their order.
        var serial: UInt64
        var toRight: Bool
        var frame: [UInt8]

        func isBefore(_ other: Flight) -> Bool {
            (arrival, serial) < (other.arrival, other.serial)
        }
    }

    var left: NetworkStack<SimulatedDevice>
    var right: NetworkStack<SimulatedDevice>
    var quality: LinkQuality
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private var generator: SeededRandom
    /// A binary heap by arrival.
    private var flights: [Flight] = []
    private var serial: UInt64 = 0
    private(set) var framesCarried = 0
    private(set) var framesLost = 0
    /// Called with each frame that is put on the link; nil drops it.
    var filter: (([UInt8], _ toRight: Bool) -> [UInt8]?)?

    init(
        _ quality: LinkQuality = .perfect, seed: UInt64, mtu: Int = 1500, offloads: Bool = false,
        cuts: Bool = false, configuration: NetworkConfiguration = NetworkConfiguration()
    ) {
        self.quality = quality
        generator = SeededRandom(seed: seed)
        var leftDevice = SimulatedDevice(
            hardwareAddress: Self.leftHardware, mtu: mtu, offloads: cuts)
        if cuts {
            leftDevice.longestSegmentedPacket = 65_522
            leftDevice.longestSegmentedPacketIPv6 = 65_522
        }
        left = NetworkStack(
            device: leftDevice,
            configuration: configuration, secret: (generator.next(), generator.next()))
        right = NetworkStack(
            device: SimulatedDevice(
                hardwareAddress: Self.rightHardware, mtu: mtu, offloads: offloads),
            configuration: configuration, secret: (generator.next(), generator.next()))
    }

    static let leftHardware: UInt64 = 0x0200_0000_0001
    static let rightHardware: UInt64 = 0x0200_0000_0002
    static let leftAddress = IPv4Address(10, 0, 0, 1)
    static let rightAddress = IPv4Address(10, 0, 0, 2)

    /// Gives both sides their addresses.
    mutating func configure() {
        left.configure(.static(Self.configuration(Self.leftAddress)), now: now)
        right.configure(.static(Self.configuration(Self.rightAddress)), now: now)
    }

    static func configuration(
        _ address: IPv4Address, gateway: IPv4Address? = nil
    ) -> IPv4Configuration {
        IPv4Configuration(IPv4Network(address, prefixLength: 24), gateway: gateway)
    }

    /// Puts what the stacks have sent on the wire.
    mutating func collect() {
        for frame in left.interface.device.collect() { carry(frame, toRight: true) }
        for frame in right.interface.device.collect() { carry(frame, toRight: false) }
    }

    /// Goes to the next thing that happens, if that is not after `limit`.
    ///
    /// - Returns: false if nothing happens until then; the time is then `limit`.
    mutating func step(until limit: Instant) -> Bool {
        collect()
        var next = min(left.nextDeadline, right.nextDeadline)
        if let first = flights.first { next = min(next, Instant(nanoseconds: first.arrival)) }
        guard next <= limit else {
            now = max(now, limit)
            return false
        }
        now = max(now, next)
        if left.nextDeadline <= now { left.poll(now: now) }
        if right.nextDeadline <= now { right.poll(now: now) }
        while let first = flights.first, first.arrival <= now.nanoseconds {
            let flight = takeFirst()
            if flight.toRight {
                right.receive(flight.frame.span.bytes, checksumVerified: false, now: now)
            } else {
                left.receive(flight.frame.span.bytes, checksumVerified: false, now: now)
            }
        }
        collect()
        return true
    }

    /// Runs for `milliseconds` of virtual time.
    mutating func run(milliseconds: UInt64) {
        let limit = Instant(nanoseconds: now.nanoseconds + milliseconds * 1_000_000)
        while step(until: limit) {}
    }

    private mutating func carry(_ original: [UInt8], toRight: Bool) {
        var frame = original
        if let filter {
            guard let changed = filter(frame, toRight) else { return }
            frame = changed
        }
        framesCarried += 1
        if generator.chance(perMille: quality.loss) {
            framesLost += 1
            return
        }
        if generator.chance(perMille: quality.corruption) {
            let index = Int(generator.next() % UInt64(frame.count))
            frame[index] ^= UInt8(1) << (generator.next() % 8)
        }
        let copies = generator.chance(perMille: quality.duplication) ? 2 : 1
        for _ in 0..<copies {
            var arrival = now.nanoseconds + quality.delay
            if generator.chance(perMille: quality.reordering) {
                arrival += generator.next() % max(1, quality.reorderDelay)
            }
            serial += 1
            insert(Flight(arrival: arrival, serial: serial, toRight: toRight, frame: frame))
        }
    }

    private mutating func insert(_ flight: Flight) {
        flights.append(flight)
        var child = flights.count - 1
        while child > 0, flights[child].isBefore(flights[(child - 1) / 2]) {
            flights.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func takeFirst() -> Flight {
        flights.swapAt(0, flights.count - 1)
        let first = flights.removeLast()
        var parent = 0
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < flights.count && flights[child].isBefore(flights[smallest]) {
                smallest = child
            }
            if smallest == parent { return first }
            flights.swapAt(parent, smallest)
            parent = smallest
        }
    }
}
