// Answers requests with files: content types, validators, conditions, ranges.

import _Concurrency

/// One file, readable in place.
public protocol HTTPFile: Sendable {
    /// Octets of the contents.
    var size: Int { get }
    /// Seconds since 1970-01-01 UTC.
    var modificationTime: Int64 { get }
    /// 128 bits that differ whenever the contents do.
    var tag: (UInt64, UInt64) { get }
    /// The contents; they stay where they are for good.
    var bytes: RawSpan { @_lifetime(immortal) get }
}

/// A set of files.
public protocol HTTPFileSource: Sendable {
    associatedtype File: HTTPFile

    /// The file of exactly this relative path, such as `images/logo.png`.
    func find(_ path: RawSpan) -> File?
}

/// Serves the files of a source: GET and HEAD, `index.html` for directories, strong ETags and
/// Last-Modified, conditional requests (RFC 9110 §13), single and multiple ranges (§14).
public struct HTTPFileResponder<Source: HTTPFileSource>: Sendable {
    let source: Source
    let cacheControl: StaticString?

    /// - Parameter cacheControl: the Cache-Control field of files; none if nil.
    public init(source: Source, cacheControl: StaticString? = nil) {
        self.source = source
        self.cacheControl = cacheControl
    }

    /// Answers the request: with the file its path names, or 301, 304, 400, 404, 405, 412, 416.
    nonisolated(nonsending) public func respond<Transport: HTTPTransport>(
        to request: HTTPServerRequest<Transport>, _ response: HTTPServerResponse<Transport>
    ) async {
        guard var path = request.path.withOctets({ RequestPath($0) }) else {
            return await response.send(status: .badRequest, "400 Bad Request\n")
        }
        if path.isDirectory { path.appendIndex() }
        guard let file = source.find(path.text.octets) else {
            return await redirectOrRefuse(request, response, path)
        }
        guard request.method == .get || request.method == .head else {
            response.addHeader("Allow", "GET, HEAD")
            return await response.send(status: .methodNotAllowed, "405 Method Not Allowed\n")
        }
        await send(file, type: ContentType.ofPath(path.text.octets), request, response)
    }

    /// A directory asked for without its "/" is asked for again with it, so that the relative links
    /// of its index work.
    nonisolated(nonsending) private func redirectOrRefuse<Transport: HTTPTransport>(
        _ request: HTTPServerRequest<Transport>, _ response: HTTPServerResponse<Transport>,
        _ path: borrowing RequestPath
    ) async {
        if !path.isDirectory, source.find(path.index.octets) != nil {
            var location = OctetBuffer()
            path.appendEncoded(to: &location)
            location.append(octet: 0x2F)
            if !request.query.isEmpty {
                location.append(octet: 0x3F)
                request.query.withOctets { location.append($0) }
            }
            response.addHeader(("Location" as StaticString).octets, location.octets)
            return await response.send(status: .movedPermanently, "301 Moved Permanently\n")
        }
        await response.send(status: .notFound, "404 Not Found\n")
    }

    nonisolated(nonsending) private func send<Transport: HTTPTransport>(
        _ file: Source.File, type: StaticString,
        _ request: HTTPServerRequest<Transport>, _ response: HTTPServerResponse<Transport>
    ) async {
        var tag = OctetBuffer(capacity: 40)
        tag.append(octet: 0x22)
        tag.append(hexadecimal: file.tag.0, digits: 16)
        tag.append(hexadecimal: file.tag.1, digits: 16)
        tag.append(octet: 0x22)
        let modified = HTTPDate(unixSeconds: file.modificationTime)
        var modifiedText = OctetBuffer(capacity: 64)
        modified.append(to: &modifiedText)
        response.addHeader(("ETag" as StaticString).octets, tag.octets)
        response.addHeader(("Last-Modified" as StaticString).octets, modifiedText.octets)
        if let cacheControl { response.addHeader("Cache-Control", cacheControl) }

        let now = HTTPDate(unixSeconds: request.connection.transport.unixSeconds ?? 0)
        let head = request.connection.head
        let size = UInt64(file.size)
        var ranges = ByteRanges.Outcome.ignored
        let outcome = request.connection.withHead { octets in
            let conditions = RequestConditions(
                head, in: octets, tag: tag.octets, modified: modified, now: now)
            if request.method == .get, let range = conditions.range {
                ranges = ByteRanges.parse(octets.octets(range), size: size)
            }
            return conditions.evaluate(method: request.method, modified: modified)
        }
        switch outcome {
        case .notModified: return await response.send(status: .notModified)
        case .preconditionFailed: return await response.send(status: .preconditionFailed)
        case .proceed: break
        }
        response.addHeader("Accept-Ranges", "bytes")
        switch ranges {
        case .ignored:
            await response.send(octets: file.bytes, contentType: type)
        case .unsatisfiable:
            var text = OctetBuffer(capacity: 32)
            text.append("bytes */")
            text.append(decimal: size)
            response.addHeader(("Content-Range" as StaticString).octets, text.octets)
            await response.send(status: .rangeNotSatisfiable)
        case .ranges(let ranges) where ranges.count == 1:
            var text = OctetBuffer(capacity: 64)
            Self.append(ranges[0], of: size, to: &text)
            response.addHeader(("Content-Range" as StaticString).octets, text.octets)
            response.status = .partialContent
            await response.send(
                octets: file.bytes
                    .extracting(Int(ranges[0].start)..<Int(ranges[0].end)),
                contentType: type)
        case .ranges(let ranges):
            await sendParts(ranges, of: file, type: type, boundary: tag, response)
        }
    }

    private static func append(
        _ range: (start: UInt64, end: UInt64), of size: UInt64, to text: inout OctetBuffer
    ) {
        text.append("bytes ")
        text.append(decimal: range.start)
        text.append(octet: 0x2D)
        text.append(decimal: range.end &- 1)
        text.append(octet: 0x2F)
        text.append(decimal: size)
    }

    /// Sends several ranges as multipart/byteranges (RFC 9110 §14.6). The boundary is the file's
    /// own tag: a file cannot contain its own hash.
    nonisolated(nonsending) private func sendParts<Transport: HTTPTransport>(
        _ ranges: ByteRanges, of file: Source.File, type: StaticString,
        boundary tag: borrowing OctetBuffer,
        _ response: HTTPServerResponse<Transport>
    ) async {
        let size = UInt64(file.size)
        let boundary = tag.octets.extracting(1..<tag.count &- 1)
        var text = OctetBuffer()
        text.append("multipart/byteranges; boundary=")
        text.append(boundary)
        response.addHeader(("Content-Type" as StaticString).octets, text.octets)

        func writePartHead(_ index: Int, to text: inout OctetBuffer) {
            text.removeAll()
            text.append("\r\n--")
            text.append(boundary)
            text.append("\r\nContent-Type: ")
            text.append(type)
            text.append("\r\nContent-Range: ")
            Self.append(ranges[index], of: size, to: &text)
            text.append("\r\n\r\n")
        }
        var length: UInt64 = 0
        for index in 0..<ranges.count {
            writePartHead(index, to: &text)
            length &+= UInt64(text.count) &+ ranges[index].end &- ranges[index].start
        }
        var end = OctetBuffer()
        end.append("\r\n--")
        end.append(boundary)
        end.append("--\r\n")
        response.status = .partialContent
        await response.start(length: length &+ UInt64(end.count))
        for index in 0..<ranges.count {
            writePartHead(index, to: &text)
            let range = Int(ranges[index].start)..<Int(ranges[index].end)
            guard await response.write(text.octets),
                await response.write(file.bytes.extracting(range))
            else { return }
        }
        await response.write(end.octets)
    }
}

extension RequestPath {
    /// Goes on to the index file of the directory.
    mutating func appendIndex() {
        text = index
    }

    /// The index file, if this is a directory.
    var index: OctetBuffer {
        var index = OctetBuffer()
        index.append(text.octets)
        if text.count > 0 { index.append(octet: 0x2F) }
        index.append("index.html")
        return index
    }
}
