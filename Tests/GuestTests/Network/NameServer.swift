// A name server of a test's own, on the loopback interface, over UDP and TCP.

import Glibc
import SwiftletTestSupport
import Synchronization

/// Answers as a function says, and counts what it was asked.
final class NameServer: Sendable {
    /// What an answer is made of: the query, and whether it came over TCP. Nil is silence.
    typealias Answer = @Sendable (_ query: [UInt8], _ isStream: Bool) -> DNSText?

    let port: UInt16
    private let datagrams: Int32
    private let listener: Int32
    private let isStopped = Atomic(false)
    private let questions = Mutex<[String]>([])

    init(_ answer: @escaping Answer) throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        datagrams = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        // The same number twice; another program may have one of the two.
        var port: UInt16 = 0
        for _ in 0..<20 where port == 0 {
            let number = try Machine.freePort()
            if Self.bind(listener, number), Self.bind(datagrams, number) { port = number }
        }
        guard port > 0, listen(listener, 16) == 0 else {
            throw MachineFailure(description: "no port is free for a name server")
        }
        self.port = port
        try Worker { [self] in serve(answer) }.detach()
    }

    /// For `--dns`, in either user network.
    var setting: String { "10.0.2.2:\(port)" }

    /// Names and types of all questions, in their order: "a.test 1", with "tcp" if it was that.
    var asked: [String] { questions.withLock { $0 } }

    func stop() { isStopped.store(true, ordering: .relaxed) }

    private static func bind(_ file: Int32, _ port: UInt16) -> Bool {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        inet_pton(AF_INET, "127.0.0.1", &name.sin_addr)
        return withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private func serve(_ answer: Answer) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while !isStopped.load(ordering: .relaxed) {
            var files = [datagrams, listener].map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            guard poll(&files, 2, 50) > 0 else { continue }
            if files[0].revents != 0 { answerDatagram(&buffer, answer) }
            if files[1].revents != 0 { answerStream(&buffer, answer) }
        }
        close(datagrams)
        close(listener)
    }

    private func answerDatagram(_ buffer: inout [UInt8], _ answer: Answer) {
        var name = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
                let count = recvfrom(datagrams, &buffer, buffer.count, 0, name, &size)
                guard count > 12, let text = note(Array(buffer[..<count]), false, answer) else {
                    return
                }
                _ = sendto(datagrams, text.octets, text.octets.count, 0, name, size)
            }
        }
    }

    private func answerStream(_ buffer: inout [UInt8], _ answer: Answer) {
        let file = accept(listener, nil, nil)
        defer { close(file) }
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(
            file, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var query: [UInt8] = []
        while query.count < 2 || query.count < 2 + Int(query[0]) << 8 + Int(query[1]) {
            let count = read(file, &buffer, buffer.count)
            guard count > 0 else { return }
            query += buffer[..<count]
        }
        guard let text = note(Array(query[2...]), true, answer) else { return }
        let framed = be16(text.octets.count) + text.octets
        // In two pieces, as connections may.
        _ = write(file, framed, 5)
        usleep(2000)
        _ = framed[5...].withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
    }

    private func note(_ query: [UInt8], _ isStream: Bool, _ answer: Answer) -> DNSText? {
        let (name, type) = DNSText.question(query)
        questions.withLock { $0.append("\(name) \(type)" + (isStream ? " tcp" : "")) }
        return answer(query, isStream)
    }
}
