// Media types by the extension of a file's name (RFC 9110 §8.3, the IANA registry).

/// The Content-Type of files.
public enum ContentType {
    /// The media type for a path, by what follows the last "." of its last segment;
    /// `application/octet-stream` if it tells nothing.
    public static func ofPath(_ path: RawSpan) -> StaticString {
        var key: UInt64 = 0
        var index = path.byteCount
        // The extension as a number, its first letter highest: `html` is 0x68746D6C.
        var shift: UInt64 = 0
        while index > 0 {
            index &-= 1
            let octet = path.octet(index)
            if octet == 0x2E { return type(extension: key) }
            if octet == 0x2F || shift > 56 { break }
            key |= UInt64(ASCII.lower(octet)) &<< shift
            shift &+= 8
        }
        return unknown
    }

    private static var unknown: StaticString { "application/octet-stream" }

    private static func type(extension key: UInt64) -> StaticString {
        switch key {
        case 0x6874_6D6C, 0x68_746D: "text/html; charset=utf-8"
        case 0x63_7373: "text/css; charset=utf-8"
        case 0x6A73, 0x6D_6A73: "text/javascript; charset=utf-8"
        case 0x6A73_6F6E, 0x6D_6170: "application/json"
        case 0x74_7874: "text/plain; charset=utf-8"
        case 0x6D64: "text/markdown; charset=utf-8"
        case 0x63_7376: "text/csv; charset=utf-8"
        case 0x78_6D6C: "application/xml"
        case 0x73_7667: "image/svg+xml"
        case 0x70_6E67: "image/png"
        case 0x6A_7067, 0x6A70_6567: "image/jpeg"
        case 0x67_6966: "image/gif"
        case 0x7765_6270: "image/webp"
        case 0x6176_6966: "image/avif"
        case 0x69_636F: "image/x-icon"
        case 0x776F_6666: "font/woff"
        case 0x77_6F66_6632: "font/woff2"
        case 0x74_7466: "font/ttf"
        case 0x6F_7466: "font/otf"
        case 0x70_6466: "application/pdf"
        case 0x7761_736D: "application/wasm"
        case 0x6D_7034: "video/mp4"
        case 0x77_6562_6D: "video/webm"
        case 0x6D_7033: "audio/mpeg"
        case 0x6F_6767: "audio/ogg"
        case 0x77_6176: "audio/wav"
        case 0x7A_6970: "application/zip"
        case 0x677A: "application/gzip"
        case 0x74_6172: "application/x-tar"
        case 0x7765_626D_616E_6966: "application/manifest+json"
        default: unknown
        }
    }
}
