// One client: a connection of some kind, from its first packet to its end.

import Glibc

/// What clients do.
enum Kind: CaseIterable {
    /// Many requests on one connection, several at a time.
    case keepAlive
    /// One request, and the server closes.
    case short
    /// One request, octet by octet.
    case slow
    /// Gone in the middle of something.
    case aborted
    /// Some hundred kilobytes from the server.
    case large
    /// The same there and back.
    case echo

    /// Of a hundred connections.
    private var share: Int {
        switch self {
        case .keepAlive: 60
        case .short: 25
        case .slow: 3
        case .aborted: 8
        case .large: 2
        case .echo: 2
        }
    }

    static func any(_ choices: inout Choices) -> Kind {
        var number = Int.random(in: 0..<100, using: &choices)
        for kind in allCases {
            if number < kind.share { return kind }
            number -= kind.share
        }
        return .keepAlive
    }
}

final class Client {
    /// Between two octets of a slow client, in nanoseconds.
    static let pause: UInt64 = 5_000_000
    private static let plainAnswer = Array("fixture\n".utf8)

    let kind: Kind
    let file: Int32
    private var answers = Answers()
    /// Requests that were begun and not answered.
    private var expected: [Content] = []
    private var expectedStart = 0
    /// Octets to be sent.
    private var output: [UInt8] = []
    private var outputStart = 0
    /// A body behind them.
    private var body = Stream(count: 0)
    private var bodyLeft = 0
    /// Requests to be begun.
    private var left: Int
    private let depth: Int
    /// Octets to receive before an aborted client goes; nil for one that does not read.
    private var abortsAfter = 0
    private(set) var isOver = false
    /// When it last got what it waited for, in nanoseconds.
    private(set) var progress: UInt64
    private(set) var longestWait: UInt64 = 0
    private var nextOctet: UInt64 = 0

    var answered: Int { answers.whole }

    /// Whether it has octets to send as soon as there is room. A slow one has its own time.
    var hasOutput: Bool { kind != .slow && (outputStart < output.count || bodyLeft > 0) }

    init(
        _ kind: Kind, to server: sockaddr_in, now: UInt64, _ choices: inout Choices
    ) throws(Failure) {
        self.kind = kind
        progress = now
        file = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard file >= 0 else { throw Failure("socket: \(String(cString: strerror(errno)))") }
        depth = kind == .keepAlive ? Int.random(in: 1...8, using: &choices) : 1
        left = kind == .keepAlive ? Int.random(in: 1...1000, using: &choices) : 1
        if kind == .aborted { abortsAfter = Int.random(in: 0...20_000, using: &choices) }
        begin(&choices)
        var server = server
        let result = withUnsafePointer(to: &server) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 || errno == EINPROGRESS else {
            throw Failure("connect: \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(file) }

    /// Writes the first requests.
    private func begin(_ choices: inout Choices) {
        switch kind {
        case .keepAlive, .short, .slow: fill()
        case .aborted:
            ask("GET /random?1000000", .stream(1_000_000), isLast: true)
            // Perhaps only a part of the head.
            if Bool.random(using: &choices) {
                output.removeLast(Int.random(in: 1..<output.count, using: &choices))
                abortsAfter = 0
            }
        case .large:
            let count = Int.random(in: 1...500_000, using: &choices)
            ask("GET /random?\(count)", .stream(count), isLast: true)
        case .echo:
            bodyLeft = Int.random(in: 1...500_000, using: &choices)
            body = Stream(count: bodyLeft)
            ask(
                "POST /echo", .stream(bodyLeft), isLast: true,
                fields: "Content-Length: \(bodyLeft)\r\n")
        }
    }

    private func ask(_ line: String, _ content: Content, isLast: Bool, fields: String = "") {
        let last = isLast ? "Connection: close\r\n" : ""
        output += Array("\(line) HTTP/1.1\r\nHost: soak\r\n\(fields)\(last)\r\n".utf8)
        expected.append(content)
        left -= 1
    }

    /// Begins as many requests as may be under way.
    private func fill() {
        guard kind != .aborted, outputStart == output.count else { return }
        output.removeAll(keepingCapacity: true)
        outputStart = 0
        while left > 0, expected.count - expectedStart < depth {
            ask("GET /", .text(Self.plainAnswer), isLast: left == 1)
        }
    }

    /// Does what can be done without waiting.
    func step(now: UInt64, _ buffer: UnsafeMutableRawBufferPointer) throws(Failure) {
        try send(now: now)
        while !isOver {
            let count = recv(file, buffer.baseAddress, buffer.count, 0)
            if count < 0 {
                guard errno == EAGAIN || errno == EINTR || errno == ENOTCONN else {
                    throw Failure("recv: \(String(cString: strerror(errno)))")
                }
                break
            }
            note(now)
            guard count > 0 else {
                guard left == 0, expectedStart == expected.count, answers.isAtStart else {
                    throw Failure("the server closed before its answer")
                }
                isOver = true
                break
            }
            try answers.take(UnsafeRawBufferPointer(rebasing: buffer[..<count])) {
                guard expectedStart < expected.count else { return nil }
                expectedStart += 1
                return expected[expectedStart - 1]
            }
            if expectedStart > 64 {
                expected.removeFirst(expectedStart)
                expectedStart = 0
            }
            abortsAfter -= count
            fill()
            try send(now: now)
        }
        if kind == .aborted, outputStart == output.count, abortsAfter <= 0 { abort() }
    }

    private func send(now: UInt64) throws(Failure) {
        while outputStart < output.count || bodyLeft > 0 {
            if outputStart == output.count {
                outputStart = 0
                output.removeAll(keepingCapacity: true)
                let count = min(bodyLeft, 16_384)
                for _ in 0..<count { output.append(body.next()) }
                bodyLeft -= count
            }
            var size = output.count - outputStart
            if kind == .slow {
                guard now >= nextOctet else { return note(now) }
                nextOctet = now + Self.pause
                size = 1
            }
            let count = output[outputStart..<outputStart + size].withUnsafeBytes {
                Glibc.send(file, $0.baseAddress, size, Int32(MSG_NOSIGNAL))
            }
            guard count >= 0 else {
                if errno == EAGAIN || errno == EINTR { return }
                throw Failure("send: \(String(cString: strerror(errno)))")
            }
            outputStart += count
            if bodyLeft > 0 || kind == .slow { note(now) }
        }
    }

    private func note(_ now: UInt64) {
        longestWait = max(longestWait, now &- progress)
        progress = now
    }

    /// Goes with a reset.
    private func abort() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(file, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        isOver = true
    }
}
