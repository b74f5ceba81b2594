// Reads the answers on a connection, and compares each with what was asked for.

/// What an answer is to hold.
enum Content {
    case text([UInt8])
    /// So many octets of `Stream`.
    case stream(Int)
}

/// Why a run has failed.
struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// The answers of one connection, in the order of their requests.
struct Answers {
    private enum Stage {
        case head
        /// Octets of content that follow, then nothing.
        case length(Int)
        case chunkSize(Int)
        case chunk(Int)
        /// Octets of the line end behind a chunk, and whether it was the last one.
        case chunkEnd(Int, isLast: Bool)
    }

    private var stage = Stage.head
    private var head: [UInt8] = []
    private var expected: Content = .text([])
    private var stream = Stream(count: 0)
    /// Octets of the content that came.
    private var count = 0
    /// Answers that came whole.
    private(set) var whole = 0

    /// True between two answers.
    var isAtStart: Bool {
        if case .head = stage { return head.isEmpty }
        return false
    }

    /// Takes in what was received.
    ///
    /// - Parameter next: what the next answer is to hold; nil if no request is left.
    mutating func take(
        _ octets: UnsafeRawBufferPointer, next: () -> Content?
    ) throws(Failure) {
        for octet in octets {
            switch stage {
            case .head:
                if head.isEmpty {
                    guard let content = next() else { throw Failure("an answer too many") }
                    begin(content)
                }
                head.append(octet)
                if octet == 0x0A, head.suffix(4) == [0x0D, 0x0A, 0x0D, 0x0A] { try endHead() }
            case .length(let left):
                try compare(octet)
                stage = .length(left - 1)
                if left == 1 { try end() }
            case .chunkSize(let size):
                if octet == 0x0A {
                    stage = size == 0 ? .chunkEnd(2, isLast: true) : .chunk(size)
                } else if octet != 0x0D {
                    guard let digit = Character(UnicodeScalar(octet)).hexDigitValue,
                        size < 1 << 30
                    else { throw Failure("a chunk without a size") }
                    stage = .chunkSize(size << 4 | digit)
                }
            case .chunk(let left):
                try compare(octet)
                stage = left == 1 ? .chunkEnd(2, isLast: false) : .chunk(left - 1)
            case .chunkEnd(let left, let isLast):
                stage = left == 1 ? .chunkSize(0) : .chunkEnd(left - 1, isLast: isLast)
                if left == 1, isLast { try end() }
            }
        }
    }

    private mutating func begin(_ content: Content) {
        expected = content
        count = 0
        if case .stream(let length) = content { stream = Stream(count: length) }
    }

    private mutating func endHead() throws(Failure) {
        let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
        guard let status = lines.first, status.hasPrefix("HTTP/1.1 200 ") else {
            throw Failure("the answer is '\(lines.first ?? "")'")
        }
        head.removeAll(keepingCapacity: true)
        for line in lines.dropFirst() {
            if line.hasPrefix("Content-Length: "), let length = Int(line.dropFirst(16)) {
                stage = .length(length)
                return
            }
            if line == "Transfer-Encoding: chunked" {
                stage = .chunkSize(0)
                return
            }
        }
        throw Failure("an answer without a length")
    }

    private mutating func compare(_ octet: UInt8) throws(Failure) {
        switch expected {
        case .text(let text):
            guard count < text.count, text[count] == octet else {
                throw Failure("an answer with other content")
            }
        case .stream(let length):
            guard count < length, stream.next() == octet else {
                throw Failure("a stream that differs at octet \(count) of \(length)")
            }
        }
        count += 1
    }

    private mutating func end() throws(Failure) {
        let length =
            switch expected {
            case .text(let text): text.count
            case .stream(let length): length
            }
        guard count == length else { throw Failure("\(count) octets instead of \(length)") }
        stage = .head
        whole += 1
    }
}
