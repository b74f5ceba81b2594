// Looks names up, connects to hosts, and fetches URLs, as the arguments say.

import Swiftlet

enum NameChecks {
    /// Each argument is a letter and what it is done to: `a:NAME` asks for addresses, `s:NAME` for
    /// services, `t:NAME` for addresses twice at once, `c:NAME:PORT` connects, `u:URL` fetches,
    /// `p:URL` posts, `x:URL` fetches and is cancelled.
    static func run(_ arguments: [String]) async {
        for argument in arguments {
            let subject = String(argument.dropFirst(2))
            switch argument.utf8.first ?? 0 {
            case UInt8(ascii: "a"): print(await addresses(subject))
            case UInt8(ascii: "t"):
                async let one = addresses(subject)
                async let two = addresses(subject)
                print(await one)
                print(await two)
            case UInt8(ascii: "s"): await showServices(subject)
            case UInt8(ascii: "c"): await connect(subject)
            case UInt8(ascii: "u"): await fetch(subject)
            case UInt8(ascii: "p"): await post(subject)
            case UInt8(ascii: "x"): await cancelled(subject)
            default: print("what is '\(argument)'?")
            }
        }
    }

    private static func addresses(_ name: String) async -> String {
        do throws(ResolverError) {
            var line = name + " is"
            for address in try await resolve(name) { line += " " + address.description }
            return line
        } catch {
            return error.description
        }
    }

    private static func showServices(_ name: String) async {
        do throws(ResolverError) {
            for service in try await Resolver.services(name) {
                print("\(name) is at \(service.host) \(service.port)")
            }
        } catch {
            print(error.description)
        }
    }

    private static func connect(_ place: String) async {
        let parts = place.utf8.split(separator: UInt8(ascii: ":"))
        let host = String(Substring(parts[0]))
        do throws(ConnectError) {
            let connection = try await TCPConnection.connect(
                host: host, port: UInt16(String(Substring(parts[1]))) ?? 0)
            print("connected to \(connection.remoteAddress.address.description)")
        } catch {
            print(error.description)
        }
    }

    private static let client = HTTPClient()

    /// Status, length and SHA-256 of what is there.
    private static func fetch(_ url: String) async {
        do throws(HTTPClientError) {
            try await show(try await client.get(url))
        } catch {
            print(url + ": " + error.description)
        }
    }

    private static func show(_ response: HTTPClientResponse) async throws(HTTPClientError) {
        var hash = SHA256()
        var count = 0
        while try await response.readBody({
            hash.update($0)
            count += $0.byteCount
        }) {}
        let digest = String(decoding: hexadecimal(hash.finish()), as: UTF8.self)
        print("\(response.status.code) \(count) \(digest) kept \(client.idleConnections)")
    }

    /// A hundred thousand octets in chunks.
    private static func post(_ url: String) async {
        do throws(HTTPClientError) {
            let request = HTTPClientRequest(
                .post, url,
                body: .stream(length: nil) { writer in
                    for number in 0..<100 {
                        await writer.write([UInt8](repeating: UInt8(number), count: 1000))
                    }
                })
            try await show(try await client.send(request))
        } catch {
            print(url + ": " + error.description)
        }
    }

    private static func cancelled(_ url: String) async {
        let task = Task { await fetch(url) }
        await sleep(for: .milliseconds(100))
        task.cancel()
        await task.value
    }

    private static func hexadecimal(_ octets: [UInt8]) -> [UInt8] {
        let digits: [UInt8] = Array("0123456789abcdef".utf8)
        return octets.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    }
}
