// Conditional requests (RFC 9110 §13): entity tags, dates, and their order of precedence.

/// Entity tags in a request's fields (RFC 9110 §8.8.3).
public enum EntityTag {
    /// True if `list`, the value of If-Match or If-None-Match, is "*" or has `tag`.
    ///
    /// - Parameters:
    ///   - tag: a strong tag, with its quotes.
    ///   - weakly: whether `W/"x"` matches `"x"` (§8.8.3.2).
    public static func matches(_ list: RawSpan, tag: RawSpan, weakly: Bool) -> Bool {
        if list.byteCount == 1, list.octet(0) == 0x2A { return true }
        var index = 0
        while index < list.byteCount {
            let octet = list.octet(index)
            if ASCII.isBlank(octet) || octet == 0x2C {
                index &+= 1
                continue
            }
            let isWeak = octet == 0x57 && list.octet(index &+ 1) == 0x2F
            if isWeak { index &+= 2 }
            guard list.octet(index) == 0x22 else { return false }
            // A tag may have commas in it, so the quotes are what is looked for.
            var end = index &+ 1
            while end < list.byteCount, list.octet(end) != 0x22 { end &+= 1 }
            guard end < list.byteCount else { return false }
            end &+= 1
            if weakly || !isWeak, list.extracting(index..<end).equals(tag) { return true }
            index = end
        }
        return false
    }
}

/// The fields of a request that make it conditional or partial, found in one pass.
public struct RequestConditions {
    /// What the preconditions ask for.
    public enum Outcome: Equatable, Sendable {
        case proceed
        /// 304 (Not Modified).
        case notModified
        /// 412 (Precondition Failed).
        case preconditionFailed
    }

    var hasIfMatch = false
    var ifMatchHolds = false
    var hasIfNoneMatch = false
    var ifNoneMatchHits = false
    var modifiedSince: HTTPDate?
    var unmodifiedSince: HTTPDate?
    /// The Range field, if there is exactly one and If-Range allows it.
    public private(set) var range: OctetRange?

    /// - Parameters:
    ///   - tag: the strong entity tag of what is asked for, with its quotes.
    ///   - modified: when it was last modified.
    ///   - now: the present, for two-digit years.
    public init(
        _ head: RequestHead, in octets: RawSpan, tag: RawSpan, modified: HTTPDate, now: HTTPDate
    ) {
        var found = Self()
        var ranges = 0
        var ifRangeHolds = true
        head.forEachField(in: octets) { nameRange, valueRange in
            // "If-" or "Rang": nothing else matters here.
            let name = octets.octets(nameRange)
            let value = octets.octets(valueRange)
            switch name.byteCount {
            case 5 where name.equalsIgnoringCase("range"):
                ranges &+= 1
                found.range = valueRange
            case 8 where name.equalsIgnoringCase("if-match"):
                found.hasIfMatch = true
                if EntityTag.matches(value, tag: tag, weakly: false) { found.ifMatchHolds = true }
            case 8 where name.equalsIgnoringCase("if-range"):
                // A date counts only if it is the very one (§13.1.5).
                let holds =
                    value.octet(0) == 0x22
                    ? value.equals(tag) : HTTPDate(value, now: now) == modified
                ifRangeHolds = ifRangeHolds && holds
            case 13 where name.equalsIgnoringCase("if-none-match"):
                found.hasIfNoneMatch = true
                if EntityTag.matches(value, tag: tag, weakly: true) {
                    found.ifNoneMatchHits = true
                }
            case 17 where name.equalsIgnoringCase("if-modified-since"):
                found.modifiedSince = HTTPDate(value, now: now)
            case 19 where name.equalsIgnoringCase("if-unmodified-since"):
                found.unmodifiedSince = HTTPDate(value, now: now)
            default:
                break
            }
            return true
        }
        if ranges > 1 || !ifRangeHolds { found.range = nil }
        self = found
    }

    private init() {}

    /// Evaluates the preconditions in the order of RFC 9110 §13.2.2.
    public func evaluate(method: HTTPMethod, modified: HTTPDate) -> Outcome {
        if hasIfMatch {
            if !ifMatchHolds { return .preconditionFailed }
        } else if let unmodifiedSince, modified > unmodifiedSince {
            return .preconditionFailed
        }
        let isRead = method == .get || method == .head
        if hasIfNoneMatch {
            if ifNoneMatchHits { return isRead ? .notModified : .preconditionFailed }
        } else if isRead, let modifiedSince, modified <= modifiedSince {
            return .notModified
        }
        return .proceed
    }
}
