// The example website as clients see it: types, conditions, ranges, and ten thousand requests.

import SwiftletBuild
import SystemPackage
import Testing

extension NetworkGuests {
    @Suite("Website")
    struct WebsiteTests {
        private static let files = GuestImages.root.appending("Examples/Website/Files")

        private func contents(_ name: String) throws -> [UInt8] {
            try FileSystem.read(Self.files.appending(name))
        }

        @Test(
            "Every file has its type, and is what lies in the folder",
            arguments: MachineKind.environments)
        func types(type: MachineKind) async throws {
            try await Machine.with(
                try await GuestImages.example("Website"), type: type, publishing: [80]
            ) { machine in
                _ = try await machine.curl("/")
                let client = try Client(machine.place)
                let pages = [
                    ("/", "index.html", "text/html; charset=utf-8"),
                    ("/how/", "how/index.html", "text/html; charset=utf-8"),
                    ("/numbers.html", "numbers.html", "text/html; charset=utf-8"),
                    ("/style.css", "style.css", "text/css; charset=utf-8"),
                    ("/images/layers.png", "images/layers.png", "image/png"),
                    ("/images/logo.svg", "images/logo.svg", "image/svg+xml"),
                ]
                for (path, file, contentType) in pages {
                    let answer = try client.get(path)
                    #expect(answer.status == 200)
                    #expect(answer.field("Content-Type") == contentType)
                    #expect(answer.field("Cache-Control") == "max-age=60")
                    #expect(answer.body == (try contents(file)), "\(path)")
                }
                for path in ["/missing", "/style.css/", "/Style.css"] {
                    #expect(try client.get(path).status == 404, "\(path)")
                }
                for path in ["/../style.css", "/images/../../etc/passwd", "/%2e%2e/a", "/%00"] {
                    #expect(try client.get(path).status == 400, "\(path)")
                }
                let redirection = try client.get("/how")
                #expect(redirection.status == 301)
                #expect(redirection.field("Location") == "/how/")
            }
        }

        @Test("HEAD, ETag with 304, and ranges with 206", arguments: MachineKind.environments)
        func conditions(type: MachineKind) async throws {
            try await Machine.with(
                try await GuestImages.example("Website"), type: type, publishing: [80]
            ) { machine in
                _ = try await machine.curl("/")
                let page = try contents("numbers.html")
                let client = try Client(machine.place)
                func ask(_ method: String, _ fields: [String]) throws -> Answer {
                    client.send(
                        "\(method) /numbers.html HTTP/1.1\r\nHost: guest\r\n"
                            + fields.map { $0 + "\r\n" }.joined() + "\r\n")
                    return try client.answer(toHead: method == "HEAD")
                }
                let head = try ask("HEAD", [])
                #expect(head.status == 200)
                #expect(head.field("Content-Length") == "\(page.count)")
                let tag = try #require(head.field("ETag"))
                let date = try #require(head.field("Last-Modified"))

                // No octet of a body may stand before the next answer's head.
                let unchanged = try ask("GET", ["If-None-Match: \(tag)"])
                #expect(unchanged.status == 304)
                #expect(unchanged.body == [])
                #expect(try ask("GET", ["If-Modified-Since: \(date)"]).status == 304)
                #expect(try ask("GET", ["If-None-Match: \"other\""]).body == page)
                #expect(try ask("GET", ["If-Match: \"other\""]).status == 412)

                let part = try ask("GET", ["Range: bytes=1000-1999"])
                #expect(part.status == 206)
                #expect(part.field("Content-Range") == "bytes 1000-1999/\(page.count)")
                #expect(part.body == Array(page[1000..<2000]))
                let last = try ask("GET", ["Range: bytes=-10"])
                #expect(last.status == 206)
                #expect(last.body == Array(page.suffix(10)))
                let same = try ask("GET", ["Range: bytes=5-", "If-Range: \(tag)"])
                #expect(same.status == 206)
                #expect(same.body == Array(page.dropFirst(5)))
                let other = try ask("GET", ["Range: bytes=5-", "If-Range: \"other\""])
                #expect(other.status == 200)
                #expect(other.body == page)
                let beyond = try ask("GET", ["Range: bytes=\(page.count)-"])
                #expect(beyond.status == 416)
                #expect(beyond.field("Content-Range") == "bytes */\(page.count)")
                let several = try ask("GET", ["Range: bytes=0-1,3-4"])
                #expect(several.status == 206)
                #expect(
                    several.field("Content-Type")?.hasPrefix("multipart/byteranges; boundary=")
                        ?? false)
                #expect(try ask("POST", ["Content-Length: 0"]).status == 405)
            }
        }

        @Test(
            "Ten thousand requests over 64 connections, each answered right",
            arguments: MachineKind.environments)
        func tenThousand(type: MachineKind) async throws {
            try await Machine.with(
                try await GuestImages.example("Website"), type: type, publishing: [80]
            ) { machine in
                _ = try await machine.curl("/")
                let page = try contents("index.html")
                try await onThread {
                    try Load.run(
                        machine.place, "/", connections: 64, requests: 10_000, body: page)
                }
                #expect(await machine.output == "")
            }
        }

        @Test(
            "So it is over a tap, and wrk with 64 connections sees no error",
            .enabled(if: NetworkNamespace.isPossible, NetworkNamespace.comment),
            arguments: MachineKind.environments)
        func tap(type: MachineKind) async throws {
            let network = try await NetworkNamespace(.direct)
            try await Machine.with(
                try await GuestImages.example("Website"), type: type, on: network
            ) { machine in
                _ = try await machine.curl("/")
                let page = try contents("index.html")
                try await onThread {
                    try Load.run(
                        machine.place, "/", connections: 64, requests: 10_000, body: page)
                }
                guard Requirement.has("wrk") else { return }
                let end = try await network.run([
                    "wrk", "-t", "1", "-c", "64", "-d", "3s", "--timeout", "20s",
                    "http://\(NetworkNamespace.guestAddress)/",
                ])
                let requests = try #require(
                    try /(\d+) requests in/.firstMatch(in: end.output), "\(end.output)")
                #expect(try #require(Int(requests.output.1)) > 0)
                #expect(!end.output.contains("Socket errors"), "\(end.output)")
                #expect(!end.output.contains("Non-2xx"), "\(end.output)")
                #expect(await machine.output == "")
            }
        }
    }
}
