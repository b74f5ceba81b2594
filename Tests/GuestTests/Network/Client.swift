// A TCP client of the test's own: for what curl and wrk do not do, or do not count.

import Glibc
import SwiftletHypervisors

/// Where clients find a guest.
struct Place: Sendable {
    var network: NetworkNamespace?
    var address: String
    var port: UInt16

    /// Connects a socket with it.
    func connect(_ descriptor: Int32) -> Bool {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        inet_pton(AF_INET, address, &name.sin_addr)
        return withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}

extension Machine {
    /// Port 80 of the guest.
    var place: Place {
        if let network {
            return Place(network: network, address: NetworkNamespace.guestAddress, port: 80)
        }
        return Place(address: ports[0].address, port: ports[0].host)
    }
}

/// An answer over HTTP.
struct Answer: Sendable, Equatable {
    var status: Int
    /// The head, with its lines' ends.
    var head: String
    var body: [UInt8]

    /// The value of a field; nil if there is none.
    func field(_ name: String) -> String? {
        head.split(separator: "\r\n").first {
            $0.lowercased().hasPrefix(name.lowercased() + ":")
        }.map { String($0.drop { $0 != ":" }.dropFirst().drop { $0 == " " }) }
    }

    var text: String { String(decoding: body, as: UTF8.self) }
}

/// One connection, used by one thread; everything waits in the kernel, and not for ever.
final class Client: @unchecked Sendable {
    private let descriptor: Int32
    private var received: [UInt8] = []
    /// Seconds until a wait is given up.
    static let patience = 30

    init(_ place: Place) throws {
        let connect = { @Sendable () throws -> Int32 in try Self.connect(place) }
        descriptor = try place.network.map { try $0.inside(connect) } ?? connect()
    }

    deinit { close(descriptor) }

    private static func connect(_ place: Place) throws -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue) | O_CLOEXEC
        let descriptor = socket(AF_INET, type, 0)
        var limit = timeval(tv_sec: patience, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        guard place.connect(descriptor) else {
            let failure = NetworkNamespace.failure("connect to \(place.address):\(place.port)")
            close(descriptor)
            throw failure
        }
        return descriptor
    }

    /// Sends all of it; false if the peer does not want it any more.
    @discardableResult
    func send(_ octets: [UInt8]) -> Bool {
        var sent = 0
        while sent < octets.count {
            let count = octets[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// Adds what comes next to what was received; false at the end, or if nothing comes.
    private func receiveMore() -> Bool {
        let piece = [UInt8](unsafeUninitializedCapacity: 65536) { buffer, count in
            count = max(0, recv(descriptor, buffer.baseAddress, buffer.count, 0))
        }
        received += piece
        return !piece.isEmpty
    }

    /// Takes one answer with a Content-Length off the connection.
    func answer(toHead: Bool = false) throws -> Answer {
        let blank = Array("\r\n\r\n".utf8)
        while true {
            if let end = received.firstRange(of: blank) {
                let head = String(decoding: received[..<end.upperBound], as: UTF8.self)
                var answer = Answer(
                    status: Int(head.split(separator: " ")[1]) ?? 0, head: head, body: [])
                let length = toHead ? 0 : Int(answer.field("Content-Length") ?? "0") ?? 0
                while received.count < end.upperBound + length {
                    guard receiveMore() else { throw NetworkNamespace.failure("half an answer") }
                }
                answer.body = Array(received[end.upperBound..<(end.upperBound + length)])
                received.removeFirst(end.upperBound + length)
                return answer
            }
            guard receiveMore() else {
                throw MachineFailure(
                    description: "no answer, but '\(String(decoding: received, as: UTF8.self))'")
            }
        }
    }

    /// Asks for a page, and waits for it.
    func get(_ path: String) throws -> Answer {
        send("GET \(path) HTTP/1.1\r\nHost: guest\r\n\r\n")
        return try answer()
    }

    /// Waits until the peer has closed or reset the connection; false if it does neither in time.
    func waitForEnd() -> Bool {
        while receiveMore() {}
        // A receive that ran out of time is no end.
        return errno != EAGAIN
    }

    /// Ends the connection by a RST.
    func abort() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_LINGER, &linger,
            socklen_t(MemoryLayout.size(ofValue: linger)))
        // Connected to nothing, the socket resets its connection at once and stays ours to close.
        var nowhere = sockaddr()
        nowhere.sa_family = sa_family_t(AF_UNSPEC)
        _ = Glibc.connect(descriptor, &nowhere, socklen_t(MemoryLayout<sockaddr>.size))
    }
}

/// Many clients at once, so many requests each.
enum Load {
    /// Sends `requests` GETs over `connections` connections that stay open; throws if one answer is
    /// not 200 with `body`.
    static func run(
        _ place: Place, _ path: String, connections: Int, requests: Int, body: [UInt8]
    ) throws {
        @Sendable func ask(_ client: Client) throws {
            let answer = try client.get(path)
            guard answer.status == 200, answer.body == body else {
                throw MachineFailure(description: "\(answer)")
            }
        }
        // One after the other: QEMU's user network lets a single connection wait to be accepted,
        // and Linux tries again for the others only after seconds.
        let clients = try (0..<connections).map { _ in
            let client = try Client(place)
            try ask(client)
            return client
        }
        let left = max(0, requests - connections)
        let workers = try clients.enumerated().map { index, client in
            let share = left / connections + (index < left % connections ? 1 : 0)
            return try Worker { for _ in 0..<share { try ask(client) } }
        }
        let results = workers.map { worker in Result { try worker.result() } }
        for result in results { try result.get() }
    }
}
