// A server that is at a request when the host asks it to finish.

import Swiftlet

extension Server {
    /// Answers when the host has asked for the end, and not before.
    static func finish() async throws(FixtureError) {
        let waiter = Task {
            if await Application.stopRequested() { print("stop requested") }
        }
        do throws(HTTPServerError) {
            try await HTTPServer(port: 80).run { request, response in
                print("request has come")
                await Application.stopRequested()
                // Long after the listener has closed.
                await sleep(for: .milliseconds(200))
                await response.send("finished\n")
            }
        } catch {
            throw .server(error)
        }
        await waiter.value
        print("the end")
    }
}
