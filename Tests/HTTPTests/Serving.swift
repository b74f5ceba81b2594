// Connections served in memory, for tests that look at what came of it.

import Testing

@testable import SwiftletHTTP

typealias TestService = HTTPService<MemoryTransport>
typealias TestRequest = HTTPServerRequest<MemoryTransport>
typealias TestResponse = HTTPServerResponse<MemoryTransport>

/// Serves the script with the handler, and returns the transport for a look at what came of it.
@discardableResult
func serve(
    _ transport: MemoryTransport, limits: HTTPLimits = HTTPLimits(),
    timeouts: HTTPTimeouts = HTTPTimeouts(),
    _ handler: @escaping TestService.Handler = { request, response in
        switch request.path {
        case "/": await response.send("Hello")
        default: await response.send(status: .notFound, "no such page")
        }
    }
) async -> MemoryTransport {
    let service = TestService(limits: limits, timeouts: timeouts, handler: handler)
    await service.serve(transport)
    #expect(service.connectionCount == 0)
    return transport
}
