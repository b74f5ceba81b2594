// An HTTP server in twenty lines.

import Swiftlet

@main
struct HelloHTTP {
    static func main() async throws(HTTPServerError) {
        let server = HTTPServer(port: 80)
        try await server.run { request, response in
            switch request.path {
            case "/":
                await response.send("Hello\n")
            default:
                await response.send(status: .notFound, "no such page\n")
            }
        }
    }
}
