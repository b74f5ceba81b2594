// One entry for any fuzzer: octets in, a stack fed with them, and nothing may trap or grow.
//
// The octets are a script, so that a fuzzer can reach states and not only parsers: each record is
// an action, a length and a frame. `SeedCorpus` has scripts to begin from.

import SwiftletNetwork
import SwiftletTestSupport

/// The stack with a static address: Ethernet to TCP. Checksums are set right unless a record's
/// length has its highest bit set.
enum NetworkFuzzing: FuzzTarget {
    static let name = "network"
    static let seeds = [SeedCorpus.script] + SeedCorpus.frames.map(SeedCorpus.record)

    static func run(_ octets: RawSpan) { fuzzNetworkStack(octets) }
}

/// Feeds a stack with what the script says.
///
/// - Returns: frames that the stack sent, so that a test can see that it did something.
@discardableResult
func fuzzNetworkStack(_ script: RawSpan) -> Int {
    var harness = FuzzHarness()
    var offset = 0
    while offset + 3 <= script.byteCount {
        let action = script.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
        let high = script.unsafeLoad(fromByteOffset: offset + 1, as: UInt8.self)
        let low = script.unsafeLoad(fromByteOffset: offset + 2, as: UInt8.self)
        let length = min(Int(high & 0x7F) << 8 | Int(low), script.byteCount - offset - 3)
        offset += 3
        if high & 0x80 != 0 {
            harness.perform(action, script.extracting(offset..<offset + length))
        } else {
            var frame = script.extracting(offset..<offset + length).withUnsafeBytes { Array($0) }
            SeedCorpus.mend(&frame)
            harness.perform(action, frame.span.bytes)
        }
        offset += length
    }
    return harness.finish()
}

/// A stack with an address, a TCP listener and a UDP socket, whose frames go nowhere.
struct FuzzHarness: ~Copyable {
    var stack: NetworkStack<SimulatedDevice>
    private var now = Instant(nanoseconds: 1_000_000_000)
    private let socket: UDPSocketID?
    private let listener: TCPListenerID?
    private var connections: [TCPConnectionID] = []
    private(set) var framesSent = 0

    init(dhcp: Bool = false, offloads: Bool = false) {
        stack = NetworkStack(
            device: SimulatedDevice(
                hardwareAddress: LonelyStack.hardware, offloads: offloads),
            secret: (1, 2))
        let network = IPv4Network(LonelyStack.address, prefixLength: 24)
        let configuration = IPv4Configuration(network, gateway: LonelyStack.peer)
        stack.configure(dhcp ? .dhcp : .static(configuration), now: now)
        stack.configureIPv6(.automatic, now: now)
        socket = try? stack.bindUDP(port: 53)
        listener = try? stack.listen(port: 80, backlog: 8)
    }

    /// The low three bits choose; the rest says how much time passes.
    mutating func perform(_ action: UInt8, _ bytes: RawSpan) {
        now = Instant(nanoseconds: now.nanoseconds + UInt64(action >> 3) << 22)
        switch action & 7 {
        case 0...3:
            stack.receive(bytes, checksumVerified: action & 1 != 0, now: now)
        case 4:
            stack.poll(now: now)
        case 5:
            if let socket {
                let to = SocketAddress(IPAddress(LonelyStack.peer), port: 53)
                try? stack.sendUDP(socket, bytes, to: to, now: now)
            }
        case 6:
            serve(bytes)
        default:
            now = Instant(nanoseconds: now.nanoseconds + 10_000_000_000)
            stack.poll(now: now)
        }
        drain()
    }

    private mutating func serve(_ bytes: RawSpan) {
        if let listener, let connection = stack.accept(listener) { connections.append(connection) }
        for connection in connections {
            guard let handle = stack.handle(connection) else { continue }
            let count = stack.receivedCount(handle)
            if count > 0 { stack.consume(handle, count, now: now) }
            _ = stack.send(handle, bytes)
            stack.flush(connection, now: now)
        }
        if connections.count > 4 {
            let oldest = connections.removeFirst()
            stack.finish(oldest, now: now)
            stack.release(oldest)
        }
    }

    private mutating func drain() {
        framesSent += stack.interface.device.collect().count
        while stack.nextEvent() != nil {}
        if let socket { while stack.receiveUDP(socket, { _, _ in true }) != nil {} }
    }

    mutating func finish() -> Int {
        perform(7, RawSpan())
        return framesSent
    }
}
