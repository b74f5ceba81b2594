// A gateway: hands each GET on to another server, by name, and its answer back as it comes.
//
//     swiftlet run -p 8080:80 -e UPSTREAM=http://example.org

import Swiftlet

@main
struct Gateway {
    static func main() async throws(HTTPServerError) {
        let upstream = Application.environment("UPSTREAM") ?? "http://10.0.2.2:8000"
        let client = HTTPClient()
        let logger = Logger(label: "gateway")
        try await HTTPServer(port: 80).run { (request, response) async throws(HTTPError) in
            guard request.method == .get else {
                return await response.send(status: .methodNotAllowed)
            }
            let url = upstream + request.target.string
            do throws(HTTPClientError) {
                try await pass(client.get(url), to: response)
            } catch {
                logger.error("no answer", ["url": url, "reason": error.description])
                // A part of the answer must not look like the whole of it.
                if response.isStarted { throw .disconnected }
                await response.send(status: .badGateway, "the server behind this one failed\n")
            }
        }
    }

    /// Hands on status, type and content, a piece at a time: no more of it is held than the
    /// client has not taken yet.
    nonisolated(nonsending) static func pass(
        _ answer: HTTPClientResponse, to response: HTTPResponse
    ) async throws(HTTPClientError) {
        response.status = answer.status
        if let type = answer.header("Content-Type") {
            response.addHeader("Content-Type", type.string)
        }
        await response.start(length: answer.contentLength)
        var piece: [UInt8] = []
        while try await answer.readBody(into: &piece) > 0 {
            guard await response.write(piece) else { return }
            piece.removeAll(keepingCapacity: true)
        }
    }
}
