// The content of a response as it comes: by length, chunked, or to the end of the connection
// (RFC 9112 §6.3).

/// Where the content ends, and how far it has come.
struct ResponseBody: Sendable {
    private enum State: Sendable {
        case ended
        case length(remaining: UInt64)
        case chunked(ChunkedDecoder)
        case untilClose
    }

    private var state = State.ended

    /// Nothing to come.
    init() {}

    init(_ head: ResponseHead, to method: HTTPMethod) {
        if head.hasNoContent(method) {
            state = .ended
        } else if head.isChunked {
            state = .chunked(ChunkedDecoder())
        } else if let length = head.contentLength {
            state = length > 0 ? .length(remaining: length) : .ended
        } else {
            state = .untilClose
        }
    }

    /// True once all has come.
    var hasEnded: Bool {
        if case .ended = state { return true }
        return false
    }

    /// True if the end of the connection is what ends the content.
    var endsWithConnection: Bool {
        if case .untilClose = state { return true }
        return false
    }

    /// Octets that are still to come, where that is known.
    var remaining: UInt64? {
        switch state {
        case .ended: 0
        case .length(let remaining): remaining
        case .chunked, .untilClose: nil
        }
    }

    /// Looks at the octets received. The caller consumes what the step tells before it calls again.
    mutating func next(_ run: RawSpan, limit: Int, overheadLimit: Int) -> ChunkedDecoder.Step {
        switch state {
        case .ended:
            return .end(consumed: 0)
        case .length(let remaining):
            let count = Int(min(UInt64(min(run.byteCount, max(1, limit))), remaining))
            guard count > 0 else { return .needsMore(consumed: 0) }
            let left = remaining &- UInt64(count)
            state = left > 0 ? .length(remaining: left) : .ended
            return .content(skipped: 0, count: count)
        case .chunked(var decoder):
            let step = decoder.next(run, limit: limit, overheadLimit: overheadLimit)
            state = .chunked(decoder)
            if case .end = step { state = .ended }
            return step
        case .untilClose:
            let count = min(run.byteCount, max(1, limit))
            return count > 0 ? .content(skipped: 0, count: count) : .needsMore(consumed: 0)
        }
    }

    /// The connection has ended; false if that cut the content off.
    mutating func end() -> Bool {
        guard endsWithConnection || hasEnded else { return false }
        state = .ended
        return true
    }
}
