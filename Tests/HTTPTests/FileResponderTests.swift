// Files over HTTP: types, validators, preconditions in their order, ranges, directories.

import Testing

@testable import SwiftletHTTP

/// Three files.
private struct Files: HTTPFileSource {
    struct File: HTTPFile {
        var tag: (UInt64, UInt64)
        var text: StaticString
        var size: Int { text.utf8CodeUnitCount }
        var modificationTime: Int64 { 784_111_777 }
        var bytes: RawSpan {
            @_lifetime(immortal) get { text.octets }
        }
    }

    func find(_ path: RawSpan) -> File? {
        if path.equals("index.html") || path.equals("sub dir/index.html") {
            return File(tag: (1, 2), text: "<h1>index</h1>")
        }
        if path.equals("a/text.txt") {
            return File(tag: (0xAB, 0xCD), text: "0123456789abcdefghijklmnopqrstuvwxyz")
        }
        return nil
    }
}

private let tag = "\"00000000000000ab00000000000000cd\""
private let modified = "Sun, 06 Nov 1994 08:49:37 GMT"

/// The answer to one request: status line, and all of it.
private func ask(_ line: String, _ fields: String...) async -> (status: Int, text: String) {
    let responder = HTTPFileResponder(source: Files())
    let request =
        line + " HTTP/1.1\r\nHost: a\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
    let transport = await serve(MemoryTransport(request)) { request, response in
        await responder.respond(to: request, response)
    }
    return (Int(transport.text.dropFirst(9).prefix(3)) ?? 0, transport.text)
}

@Suite struct FileResponderTests {
    @Test func wholeFile() async {
        let answer = await ask("GET /a/text.txt")
        #expect(
            answer.text
                == "HTTP/1.1 200 OK\r\nDate: \(modified)\r\nContent-Type: text/plain; charset=utf-8\r\n"
                + "ETag: \(tag)\r\nLast-Modified: \(modified)\r\nAccept-Ranges: bytes\r\n"
                + "Content-Length: 36\r\n\r\n0123456789abcdefghijklmnopqrstuvwxyz")
        let head = await ask("HEAD /a/text.txt")
        #expect(head.text == String(answer.text.dropLast(36)))
    }

    @Test(arguments: [
        ("GET /", 200), ("GET /index.html?x=y", 200), ("GET /a/../index.html", 200),
        ("GET /sub%20dir/", 200), ("GET /nothing", 404), ("GET /a/", 404), ("GET /a", 404),
        ("GET /../etc/passwd", 400), ("GET /%2e%2e/etc/passwd", 400), ("GET /a/text.txt/", 404),
        ("POST /a/text.txt", 405), ("DELETE /", 405), ("POST /nothing", 404), ("OPTIONS *", 400),
    ])
    func paths(line: String, status: Int) async {
        let answer = await ask(line)
        #expect(answer.status == status)
        if status == 405 { #expect(answer.text.contains("Allow: GET, HEAD\r\n")) }
    }

    @Test func directoriesWithoutSlashAreRedirected() async {
        let answer = await ask("GET //sub%20dir?q=1")
        #expect(answer.status == 301)
        #expect(answer.text.contains("Location: /sub%20dir/?q=1\r\n"))
    }

    @Test(arguments: [
        // RFC 9110 §13.2.2, step by step.
        (["If-Match: *"], 200), (["If-Match: \(tag)"], 200), (["If-Match: W/\(tag)"], 412),
        (["If-Match: \"x\""], 412), (["If-Match: \"x\"", "If-Match: \(tag)"], 200),
        (["If-Unmodified-Since: \(modified)"], 200),
        (["If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT"], 412),
        (["If-Match: \(tag)", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT"], 200),
        (["If-None-Match: \(tag)"], 304), (["If-None-Match: W/\(tag)"], 304),
        (["If-None-Match: *"], 304),
        (["If-None-Match: \"x\""], 200), (["If-None-Match: \"x\"", "If-None-Match: \(tag)"], 304),
        (["If-Modified-Since: \(modified)"], 304),
        (["If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT"], 200),
        (["If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"], 304),
        (["If-Modified-Since: nonsense"], 200),
        (["If-None-Match: \"x\"", "If-Modified-Since: \(modified)"], 200),
        (["If-Match: \(tag)", "If-None-Match: \(tag)"], 304),
        (["If-Match: \"x\"", "If-None-Match: \(tag)"], 412),
        (["Range: bytes=0-4", "If-None-Match: \(tag)"], 304),
        (["Range: bytes=0-4", "If-Match: \"x\""], 412),
    ])
    func preconditions(fields: [String], status: Int) async {
        let responder = HTTPFileResponder(source: Files())
        for method in ["GET", "HEAD"] {
            let request =
                "\(method) /a/text.txt HTTP/1.1\r\nHost: a\r\n" + fields.joined(separator: "\r\n")
                + "\r\n\r\n"
            let transport = await serve(MemoryTransport(request)) { request, response in
                await responder.respond(to: request, response)
            }
            #expect(transport.text.hasPrefix("HTTP/1.1 \(status) "), "\(method)")
            if status == 304 {
                #expect(transport.text.contains("ETag: \(tag)\r\n"))
                #expect(transport.text.hasSuffix("\r\n\r\n"))
                #expect(!transport.text.contains("Content-"))
            }
        }
    }

    @Test(arguments: [
        ("bytes=0-4", "0-4", "01234"), ("bytes=-3", "33-35", "xyz"), ("bytes=34-", "34-35", "yz"),
        ("bytes=10-1000", "10-35", "abcdefghijklmnopqrstuvwxyz"),
    ])
    func oneRange(value: String, range: String, content: String) async {
        let answer = await ask("GET /a/text.txt", "Range: \(value)")
        #expect(answer.status == 206)
        #expect(answer.text.contains("Content-Range: bytes \(range)/36\r\n"))
        #expect(answer.text.contains("Content-Length: \(content.utf8.count)\r\n"))
        #expect(answer.text.hasSuffix("\r\n\r\n\(content)"))
    }

    @Test func rangesThatAreNotServed() async {
        let beyond = await ask("GET /a/text.txt", "Range: bytes=36-")
        #expect(beyond.status == 416)
        #expect(beyond.text.contains("Content-Range: bytes */36\r\n"))
        #expect(await ask("HEAD /a/text.txt", "Range: bytes=0-4").status == 200)
        #expect(await ask("GET /a/text.txt", "Range: bytes=0-4", "Range: bytes=0-4").status == 200)
        #expect(await ask("GET /a/text.txt", "Range: lines=0-4").status == 200)
    }

    @Test(arguments: [
        (tag, 206), ("W/\(tag)", 200), ("\"x\"", 200), (modified, 206),
        ("Sun, 06 Nov 1994 08:49:38 GMT", 200), ("nonsense", 200),
    ])
    func ifRange(value: String, status: Int) async {
        #expect(
            await ask("GET /a/text.txt", "Range: bytes=0-4", "If-Range: \(value)").status == status)
    }

    @Test func manyRangesAreMultipart() async throws {
        let answer = await ask("GET /a/text.txt", "Range: bytes=0-1,5-6,-1")
        #expect(answer.status == 206)
        let boundary = "00000000000000ab00000000000000cd"
        #expect(
            answer.text.contains("Content-Type: multipart/byteranges; boundary=\(boundary)\r\n"))
        func part(_ range: String, _ content: String) -> String {
            "\r\n--\(boundary)\r\nContent-Type: text/plain; charset=utf-8\r\n"
                + "Content-Range: bytes \(range)/36\r\n\r\n\(content)"
        }
        let body =
            part("0-1", "01") + part("5-6", "56") + part("35-35", "z") + "\r\n--\(boundary)--\r\n"
        #expect(answer.text.hasSuffix("\r\n\r\n" + body))
        #expect(answer.text.contains("Content-Length: \(body.utf8.count)\r\n"))
    }
}
