// A server for tests: streams and digests of any length, free memory, echoes.

import Swiftlet
import SwiftletMemory

enum Server {
    /// Of the last stream that was sent.
    nonisolated(unsafe) private static var lastDigest: [UInt8] = []
    private static let pieceSize = 16384

    static func run() async throws(FixtureError) {
        let echo: UDPSocket
        do throws(NetworkError) {
            echo = try UDPSocket(port: 7)
        } catch {
            throw .network(error)
        }
        Task {
            while let datagram = try? await echo.receive() {
                try? echo.send(datagram.payload, to: datagram.sender)
            }
        }
        do throws(HTTPServerError) {
            let server = HTTPServer(port: 80)
            try await server.run {
                (request, response) async throws(HTTPError) in
                switch request.path {
                case "/": await response.send("fixture\n")
                case "/frames": await response.send("\(PageFrames.freeCount)\n")
                case "/random": await sendRandom(request.query.integer ?? 0, response)
                case "/last-digest": await response.send(hexadecimal(lastDigest))
                case "/digest": await response.send(hexadecimal(try await digest(of: request)))
                case "/stop":
                    server.stop()
                    await response.send("the last answer\n")
                case "/echo": try await sendBack(request, response)
                default: await response.send(status: .notFound, "no such page\n")
                }
            }
        } catch {
            throw .server(error)
        }
    }

    /// So many octets of a stream that the count alone determines, by splitmix64.
    nonisolated(nonsending)
        private static func sendRandom(_ count: Int, _ response: HTTPResponse) async
    {
        await response.start(length: UInt64(count))
        var hash = SHA256()
        var state = UInt64(count)
        var left = count
        while left > 0 {
            var piece: [UInt8] = []
            piece.reserveCapacity(pieceSize)
            while piece.count < min(left, pieceSize) {
                state &+= 0x9E37_79B9_7F4A_7C15
                var word = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
                word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
                word ^= word >> 31
                for _ in 0..<min(8, left - piece.count) {
                    piece.append(UInt8(truncatingIfNeeded: word))
                    word >>= 8
                }
            }
            hash.update(piece.span.bytes)
            left -= piece.count
            guard await response.write(piece) else { return }
        }
        lastDigest = hash.finish()
    }

    nonisolated(nonsending)
        private static func digest(of request: HTTPRequest) async throws(HTTPError) -> [UInt8]
    {
        var hash = SHA256()
        while try await request.readBody({ hash.update($0) }) {}
        return hash.finish()
    }

    nonisolated(nonsending)
        private static func sendBack(
            _ request: HTTPRequest, _ response: HTTPResponse
        ) async throws(HTTPError)
    {
        await response.start()
        var piece: [UInt8] = []
        while try await request.readBody(into: &piece) > 0 {
            guard await response.write(piece) else { return }
            piece.removeAll(keepingCapacity: true)
        }
    }

    private static func hexadecimal(_ octets: [UInt8]) -> [UInt8] {
        let digits: [UInt8] = Array("0123456789abcdef".utf8)
        return octets.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    }
}
