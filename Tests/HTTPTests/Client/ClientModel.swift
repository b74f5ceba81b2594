// A client whose connections are memory, each with a script of its own.

@testable import SwiftletHTTP

/// Connections of memory, each with a script of its own.
final class MemoryConnector: HTTPConnector, @unchecked Sendable {
    struct Refused: Error {}

    private var scripts: [[MemoryTransport.Event]]
    private(set) var transports: [MemoryTransport] = []
    private(set) var asked: [String] = []
    /// Made with each transport before it is used.
    var prepare: ((MemoryTransport) -> Void)?

    init(_ scripts: [[MemoryTransport.Event]]) { self.scripts = scripts }

    nonisolated(nonsending) func connect(
        host: [UInt8], port: UInt16, within nanoseconds: UInt64
    ) async throws(Refused) -> MemoryTransport {
        asked.append(String(decoding: host, as: UTF8.self) + ":\(port)")
        guard !scripts.isEmpty else { throw Refused() }
        let transport = MemoryTransport(scripts.removeFirst())
        prepare?(transport)
        transports.append(transport)
        return transport
    }
}

/// A client with such connections.
struct ClientModel {
    typealias Request = HTTPOutgoingRequest<MemoryTransport>
    let connector: MemoryConnector
    let service: HTTPClientService<MemoryConnector>

    init(
        _ scripts: [[MemoryTransport.Event]],
        _ change: (inout HTTPClientLimits) -> Void = { _ in }
    ) {
        connector = MemoryConnector(scripts)
        var limits = HTTPClientLimits()
        change(&limits)
        service = HTTPClientService(
            connector: connector, limits: limits, timeouts: HTTPClientTimeouts())
    }

    func get(
        _ url: String = "http://a.example/", _ method: HTTPMethod = .get
    ) async throws -> HTTPIncomingResponse<MemoryConnector> {
        try await service.send(Request(method, url))
    }

    /// The failure of an exchange; nil if it succeeded, or failed in another way.
    func fault(_ request: Request = Request(.get, "http://a.example/")) async -> HTTPExchangeError?
    {
        do {
            let response = try await service.send(request)
            _ = try await response.body(upTo: 1 << 20)
            return nil
        } catch HTTPClientFailure<MemoryConnector.Refused>.exchange(let error) {
            return error
        } catch {
            return nil
        }
    }
}
