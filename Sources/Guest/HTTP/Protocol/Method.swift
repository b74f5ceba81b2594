// Request methods (RFC 9110 §9, RFC 5789 for PATCH).

/// What a request asks to be done. Methods without a case of their own are `.other`; their name is
/// in the request head.
public enum HTTPMethod: UInt8, Equatable, Sendable {
    case get, head, post, put, delete, options, patch, trace, connect, other

    /// The method that `name` spells; case matters (RFC 9110 §9.1).
    @inline(__always) init(_ name: RawSpan) {
        // One comparison of a padded word, for names of up to seven octets.
        guard name.byteCount <= 7 else {
            self = .other
            return
        }
        switch name.partialWord(0) {
        case 0x54_4547: self = .get
        case 0x4441_4548: self = .head
        case 0x5453_4F50: self = .post
        case 0x54_5550: self = .put
        case 0x4554_454C_4544: self = .delete
        case 0x53_4E4F_4954_504F: self = .options
        case 0x48_4354_4150: self = .patch
        case 0x45_4341_5254: self = .trace
        case 0x54_4345_4E4E_4F43: self = .connect
        default: self = .other
        }
    }
}
