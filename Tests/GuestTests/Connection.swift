// A TCP connection of a test's own, for what curl does not do: to stay idle, to send half a request.

import Glibc

/// A blocking connection to a port of the loopback interface. Every wait ends after 30 s.
struct Connection {
    private let socket: Int32

    init(port: UInt16) throws {
        socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: 30, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        inet_pton(AF_INET, "127.0.0.1", &name.sin_addr)
        let result = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if result != 0 {
            Glibc.close(socket)
            throw Self.failure("connect")
        }
    }

    func send(_ text: String) throws {
        let octets = Array(text.utf8)
        guard Glibc.send(socket, octets, octets.count, Int32(MSG_NOSIGNAL)) == octets.count
        else { throw Self.failure("send") }
    }

    /// What comes next; empty at the end of the stream.
    func receive() throws -> String {
        var octets = [UInt8](repeating: 0, count: 4096)
        let count = recv(socket, &octets, octets.count, 0)
        guard count >= 0 else { throw Self.failure("recv") }
        return String(decoding: octets[..<count], as: UTF8.self)
    }

    /// What comes up to `end`.
    func receive(until end: String) throws -> String {
        var text = ""
        while !text.hasSuffix(end) {
            let piece = try receive()
            if piece.isEmpty { throw MachineFailure(description: "ended after '\(text)'") }
            text += piece
        }
        return text
    }

    func close() { Glibc.close(socket) }

    private static func failure(_ call: String) -> MachineFailure {
        MachineFailure(description: "\(call): \(String(cString: strerror(errno)))")
    }
}
