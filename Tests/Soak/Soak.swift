// A mixed load on the fixture's server: short, long, slow, aborted and large, until so many requests
// were answered. Every octet of every answer is compared; memory is compared at the end.
//
//     SwiftletSoak ADDRESS PORT REQUESTS [CONNECTIONS [SEED]]
//
// A tenth of the requests warm the server up first. Ends with 1 if anything was wrong: an answer, a
// connection, a wait of more than a second, or page frames that were not given back.

import Glibc

@main
struct Soak {
    let server: sockaddr_in
    let connections: Int
    var choices: Choices
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)

    private(set) var answered = 0
    private(set) var opened = 0
    private(set) var aborted = 0
    private(set) var longestWait: UInt64 = 0

    private static let mostWait: UInt64 = 1_000_000_000
    /// A client that gets nothing for so long is given up.
    private static let patience: UInt64 = 20_000_000_000

    static func main() {
        do {
            try run()
        } catch {
            complain("soak: \(error)\n")
            exit(1)
        }
    }

    private static func complain(_ text: String) {
        let octets = Array(text.utf8)
        _ = write(STDERR_FILENO, octets, octets.count)
    }

    private static func run() throws(Failure) {
        let words = CommandLine.arguments
        guard words.count >= 4, let port = UInt16(words[2]), let requests = Int(words[3]),
            let connections = Int(words.count > 4 ? words[4] : "64"), connections > 0,
            let seed = UInt64(words.count > 5 ? words[5] : "1")
        else {
            complain("usage: SwiftletSoak ADDRESS PORT REQUESTS [CONNECTIONS [SEED]]\n")
            exit(64)
        }
        var server = sockaddr_in()
        server.sin_family = sa_family_t(AF_INET)
        server.sin_port = port.bigEndian
        guard inet_pton(AF_INET, words[1], &server.sin_addr) == 1 else {
            throw Failure("'\(words[1])' is no IPv4 address")
        }
        var soak = Soak(
            server: server, connections: connections, choices: Choices(state: seed))
        let began = now()
        try soak.load(requests / 10)
        let before = try soak.freeFrames()
        try soak.load(requests)
        let after = try soak.freeFrames()
        let seconds = Double(now() - began) / 1e9
        print(
            "answered=\(soak.answered) connections=\(soak.opened) aborted=\(soak.aborted)",
            "seconds=\(Int(seconds)) longest-wait-ms=\(soak.longestWait / 1_000_000)",
            "free-frames-before=\(before) after=\(after)")
        guard soak.longestWait <= mostWait else {
            throw Failure("somebody waited \(soak.longestWait / 1_000_000) ms")
        }
        guard after * 100 >= before * 99 else {
            throw Failure("of \(before) free page frames \(after) are left")
        }
    }

    private init(server: sockaddr_in, connections: Int, choices: Choices) {
        (self.server, self.connections, self.choices) = (server, connections, choices)
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Keeps all connections busy until `requests` in all are answered, and lets them end.
    private mutating func load(_ requests: Int) throws(Failure) {
        var clients: [Client] = []
        var looked = Self.now()
        while true {
            while answered + clients.count < requests, clients.count < connections {
                let kind = Kind.any(&choices)
                clients.append(try Client(kind, to: server, now: Self.now(), &choices))
                opened += 1
            }
            if clients.isEmpty { return }
            var files = clients.map {
                pollfd(
                    fd: $0.file, events: Int16($0.hasOutput ? POLLIN | POLLOUT : POLLIN), revents: 0
                )
            }
            poll(&files, nfds_t(files.count), 5)
            for (index, file) in files.enumerated() where file.revents != 0 {
                try step(clients[index])
            }
            // The slow ones have their time; and who waits in vain must be found.
            let now = Self.now()
            if now - looked >= Client.pause {
                looked = now
                for client in clients {
                    if client.kind == .slow { try step(client) }
                    guard now < client.progress + Self.patience else {
                        throw Failure("a client (\(client.kind)) waits for ever")
                    }
                }
            }
            clients.removeAll { $0.isOver }
        }
    }

    private mutating func step(_ client: Client) throws(Failure) {
        if client.isOver { return }
        let before = client.answered
        do throws(Failure) {
            try client.step(now: Self.now(), buffer)
        } catch {
            throw Failure("\(client.kind), after \(answered) answers: \(error)")
        }
        answered += client.answered - before
        longestWait = max(longestWait, client.longestWait)
        if client.isOver, client.kind == .aborted { aborted += 1 }
    }

    /// The server's free page frames, once all is quiet.
    private func freeFrames() throws(Failure) -> Int {
        usleep(2_000_000)
        let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(file) }
        var server = server
        let connected = withUnsafePointer(to: &server) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        let request = Array("GET /frames HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n".utf8)
        guard connected == 0, send(file, request, request.count, 0) == request.count else {
            throw Failure("no connection for a look at the memory")
        }
        var answer: [UInt8] = []
        while true {
            let count = recv(file, buffer.baseAddress, buffer.count, 0)
            if count <= 0 { break }
            answer += buffer[..<count]
        }
        let text = String(decoding: answer, as: UTF8.self)
        guard let body = text.split(separator: "\r\n").last, let frames = Int(body.dropLast())
        else { throw Failure("no count of page frames: \(text)") }
        return frames
    }
}
