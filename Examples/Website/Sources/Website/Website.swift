// A website: the folder `Files`, packed into the image and served.

import Swiftlet

@main
struct Website {
    static func main() async throws(HTTPServerError) {
        let files = FileResponder(cacheControl: "max-age=60")
        let server = HTTPServer(port: 80)
        try await server.run { request, response in
            await files.respond(to: request, response)
        }
    }
}
