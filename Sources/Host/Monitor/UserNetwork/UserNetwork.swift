// A network for a guest without root: its frames become sockets of the host's, the host's published
// ports become connections to it.
//
// A process of its own beside the monitor (UserNetworkProcess), since the monitor may make no sockets
// once its guest runs. The guest sees one neighbour, the gateway, which is the host's loopback
// interface and the way to all else, and a second one for names, which is the host's name server.
// Nothing is forwarded that was not asked for: a published port, or the guest's own connections and
// datagrams.

import CSwiftletKVM
import Glibc

/// All flows of one guest. One thread; each call of `turn` does what there is to do.
final class UserNetwork {
    private enum Kind {
        static let link: UInt64 = 0
        static let listener: UInt64 = 1
        static let tcp: UInt64 = 2
        static let datagrams: UInt64 = 3
        static let udp: UInt64 = 4
    }

    private static let eventCount = 64
    static let socketFlags = Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    /// Longer than any guest's start; a connection that comes before its server waits so long.
    private static let patience: UInt64 = 10_000_000_000
    /// Descriptors that are not flows.
    private static let spareDescriptors = 64

    let link: FrameStream
    let headers: FrameHeaders
    /// The host's name server; nil if there is none that can be reached.
    let nameServer: SocketAddress?
    /// Monotonic time in nanoseconds, of this turn.
    private(set) var now: UInt64 = 0

    private let polling: Int32
    private let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: eventCount)
    private let listeners: [(file: Int32, guestPort: UInt16)]
    private var listenersArePolled = false
    private var linkIsPolledForOutput = false
    /// A frame found no room.
    var wasFull = false
    private let began: UInt64
    private var guestIsPresent = false
    private var answered: Set<UInt16> = []

    private let mostFlows: Int
    private var flows: [FlowKey: TCPFlow] = [:]
    private let stores = OctetStores()
    private var slots: [TCPFlow?] = []
    private var freeSlots: [Int] = []
    /// Slots of flows that ended in this turn, whose events may still be in hand.
    private var endedSlots: [Int] = []
    private var waiting: [TCPFlow] = []
    /// The earliest of the flows' deadlines, or earlier.
    private var alarm = UInt64.max
    private var secret: UInt32 = 0
    private var datagrams: DatagramFlows
    /// Whether the guest is to have addresses of IPv6.
    let hasIPv6: Bool
    /// When the guest hears of its router again, which it has asked for once.
    var nextAdvertisement = UInt64.max

    /// - Parameters:
    ///   - link: frames from and to the guest.
    ///   - hardwareAddress: the guest's card's, six octets.
    ///   - ports: with their sockets, open and not blocking.
    ///   - nameServer: the host's.
    ///   - hasIPv6: whether the host has IPv6, so that the guest gets some.
    ///   - descriptors: how many descriptors this process may have.
    init(
        link: FrameStream, hardwareAddress: [UInt8], ports: [(port: PublishedPort, file: Int32)],
        nameServer: SocketAddress?, hasIPv6: Bool, descriptors: Int
    ) {
        self.link = link
        self.hasIPv6 = hasIPv6
        self.nameServer = nameServer
        headers = FrameHeaders(guest: hardwareAddress)
        polling = epoll_create1(Int32(EPOLL_CLOEXEC))
        listeners = ports.filter { $0.port.transport == .tcp }
            .map { (file: $0.file, guestPort: $0.port.guest) }
        mostFlows = min(max(descriptors - Self.spareDescriptors, 16) / 2, 8192)
        datagrams = DatagramFlows(
            published: ports.filter { $0.port.transport == .udp }
                .map { (file: $0.file, guestPort: $0.port.guest) }, limit: min(mostFlows, 1024))
        began = Self.clock()
        now = began
        _ = swiftlet_get_random(&secret, 4)
        watch(link.file, Kind.link, EPOLLIN.rawValue)
        for (index, socket) in datagrams.published.enumerated() {
            watch(socket.file, Kind.datagrams << 32 | UInt64(index), EPOLLIN.rawValue)
        }
    }

    deinit {
        for flow in flows.values { close(flow.file) }
        datagrams.closeAll()
        close(polling)
        events.deallocate()
    }

    private static func clock() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    func watch(_ file: Int32, _ data: UInt64, _ wanted: UInt32, change: Bool = false) {
        var event = epoll_event()
        event.events = wanted
        event.data.u64 = data
        epoll_ctl(polling, change ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, file, &event)
    }

    // MARK: One turn

    /// Waits for something to do, for at most so many milliseconds (-1: without end), and does it.
    /// False once the monitor has gone.
    func turn(timeout: Int32 = -1) -> Bool {
        let count = epoll_wait(polling, events, Int32(Self.eventCount), wait(timeout))
        now = Self.clock()
        for index in 0..<max(Int(count), 0) {
            let data = events[index].data.u64
            handle(data >> 32, Int(data & 0xFFFF_FFFF), events[index].events)
        }
        settle()
        if now >= alarm { ring() }
        if now >= nextAdvertisement { advertise() }
        flush()
        freeSlots += endedSlots
        endedSlots.removeAll(keepingCapacity: true)
        pollListeners()
        return !link.isClosed
    }

    private func wait(_ timeout: Int32) -> Int32 {
        let alarm = min(alarm, nextAdvertisement)
        guard alarm != .max else { return timeout }
        let now = Self.clock()
        let left = Int32(min((max(alarm, now) - now + 999_999) / 1_000_000, 3_600_000))
        return timeout < 0 ? left : min(timeout, left)
    }

    private func handle(_ kind: UInt64, _ index: Int, _ happened: UInt32) {
        switch kind {
        case Kind.link:
            // Bounded, so that a guest that floods leaves the host its turn.
            for _ in 0..<4 where link.fill() {
                while let frame = link.next() { receive(frame) }
            }
        case Kind.listener: acceptConnections(index)
        case Kind.tcp: slots[index]?.handle(happened, self)
        case Kind.datagrams: datagrams.receivePublished(index, self)
        case Kind.udp: datagrams.receive(index, self)
        default: break
        }
    }

    private func settle() {
        var index = 0
        while index < waiting.count {
            waiting[index].isWaiting = false
            waiting[index].settle(self)
            index += 1
        }
        waiting.removeAll(keepingCapacity: true)
    }

    /// Has the flow's `settle` called at the end of this turn.
    func settleLater(_ flow: TCPFlow) {
        guard !flow.isWaiting else { return }
        flow.isWaiting = true
        waiting.append(flow)
    }

    private func ring() {
        alarm = .max
        for flow in slots {
            guard let flow, flow.phase != .closed else { continue }
            if flow.deadline <= now { flow.timeOut(self) } else { noteDeadline(flow.deadline) }
        }
    }

    func noteDeadline(_ deadline: UInt64) { alarm = min(alarm, deadline) }

    private func flush() {
        link.flush()
        while wasFull, !link.hasOutput {
            wasFull = false
            for flow in slots { flow?.pump(self) }
            settle()
            link.flush()
        }
        if link.hasOutput != linkIsPolledForOutput {
            linkIsPolledForOutput = link.hasOutput
            let output = linkIsPolledForOutput ? EPOLLOUT.rawValue : 0
            watch(link.file, Kind.link, EPOLLIN.rawValue | output, change: true)
        }
    }

    // MARK: From the guest

    private func receive(_ frame: UnsafeRawBufferPointer) {
        guestIsPresent = true
        if let reply = headers.arpReply(to: frame) {
            guard let place = link.append(reply.count) else { return }
            reply.withUnsafeBytes { place.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            return
        }
        guard let packet = GuestPacket(frame) else { return }
        switch Int(packet.protocolNumber) {
        case IPPROTO_TCP where UserNetworkAddress.isGuest(packet.source):
            if let segment = GuestSegment(packet.payload) { receive(segment, packet) }
        case IPPROTO_UDP where UserNetworkAddress.isGuest(packet.source):
            datagrams.send(packet, self)
        case IPPROTO_ICMPV6 where hasIPv6 && !packet.source.isV4:
            receiveDiscovery(packet)
        default: break
        }
    }

    private func receive(_ segment: GuestSegment, _ packet: GuestPacket) {
        let remote = SocketAddress(packet.destination, port: segment.destinationPort)
        let key = FlowKey(remote: remote, guestPort: segment.sourcePort, guest: packet.source)
        if let flow = flows[key] { return flow.receive(segment, self) }
        let isOpening = segment.flags & (TCPFlag.syn | TCPFlag.acknowledge) == TCPFlag.syn
        guard segment.flags & TCPFlag.reset == 0 else { return }
        if isOpening, flows.count < mostFlows, remote.port != 0,
            let target = onHost(remote), connect(segment, key, target)
        {
            return
        }
        refuse(segment, key)
    }

    /// RFC 9293 §3.10.7.1.
    private func refuse(_ segment: GuestSegment, _ key: FlowKey) {
        let isAnswer = segment.flags & TCPFlag.acknowledge != 0
        sendSegment(
            key, sequence: isAnswer ? segment.acknowledgement : 0,
            acknowledgement: isAnswer ? 0 : segment.sequence &+ segment.length,
            flags: isAnswer ? TCPFlag.reset : TCPFlag.reset | TCPFlag.acknowledge, window: 0,
            payload: 0)
    }

    private func connect(
        _ segment: GuestSegment, _ key: FlowKey, _ target: SocketAddress
    ) -> Bool {
        let file = socket(target.family, Int32(SOCK_STREAM.rawValue) | Self.socketFlags, 0)
        guard file >= 0 else { return false }
        setNoDelay(file)
        guard target.connect(file) == 0 || errno == EINPROGRESS else {
            close(file)
            return false
        }
        let slot = takeSlot()
        add(
            TCPFlow(
                asked: segment, file: file, key: key, slot: slot, sequence: makeSequence(),
                stores: stores))
        return true
    }

    // MARK: From the host

    /// Ports are listened on from the beginning, so that none is lost to another; connections wait
    /// in the kernel until the guest is there.
    private func pollListeners() {
        let isWanted = guestIsPresent && flows.count < mostFlows
        guard isWanted != listenersArePolled else { return }
        listenersArePolled = isWanted
        for (index, listener) in listeners.enumerated() {
            if isWanted {
                watch(listener.file, Kind.listener << 32 | UInt64(index), EPOLLIN.rawValue)
            } else {
                epoll_ctl(polling, EPOLL_CTL_DEL, listener.file, nil)
            }
        }
    }

    private func acceptConnections(_ index: Int) {
        let (listener, guestPort) = listeners[index]
        for _ in 0..<64 where flows.count < mostFlows {
            let (file, name) = SocketAddress.taking {
                swiftlet_accept(listener, $0, $1, Self.socketFlags)
            }
            guard file >= 0 else { return }
            setNoDelay(file)
            var remote = name
            remote.address = UserNetworkAddress.inGuest(remote.address)
            var key = FlowKey(remote: remote, guestPort: guestPort)
            // Two of the host's addresses may be one here; another port tells them apart.
            while flows[key] != nil {
                key.remote.port = key.remote.port == .max ? 1024 : key.remote.port + 1
            }
            let slot = takeSlot()
            let flow = TCPFlow(
                accepted: file, key: key, slot: slot, sequence: makeSequence(),
                patientUntil: began + Self.patience, stores: stores)
            add(flow)
            flow.open(self)
        }
    }

    private func setNoDelay(_ file: Int32) {
        var one: Int32 = 1
        setsockopt(
            file, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Grows with time, as RFC 9293 §3.4.1 wants it, from a start that nobody knows.
    private func makeSequence() -> UInt32 {
        secret &+= 64000
        return secret &+ UInt32(truncatingIfNeeded: now / 4000)
    }

    /// Whether the guest has ever taken a connection to this port.
    func hasAnswered(_ port: UInt16) -> Bool { answered.contains(port) }

    func noteAnswer(of port: UInt16) {
        if !answered.contains(port) { answered.insert(port) }
    }

    // MARK: Flows

    /// Connections that there are.
    var flowCount: Int { flows.count }

    private func takeSlot() -> Int {
        if let slot = freeSlots.popLast() { return slot }
        slots.append(nil)
        return slots.count - 1
    }

    private func add(_ flow: TCPFlow) {
        flows[flow.key] = flow
        slots[flow.slot] = flow
        watch(
            flow.file, Kind.tcp << 32 | UInt64(flow.slot),
            EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue)
    }

    func forget(_ flow: TCPFlow) {
        flows[flow.key] = nil
        slots[flow.slot] = nil
        endedSlots.append(flow.slot)
    }

    /// Polls the socket of a flow of datagrams.
    func watchDatagrams(_ file: Int32, slot: Int) {
        watch(file, Kind.udp << 32 | UInt64(slot), EPOLLIN.rawValue)
    }
}
