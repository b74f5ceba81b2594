// Bulk transfers: what is sent to port 5001 is thrown away; port 5002 sends until the client leaves.

import Swiftlet

@main
struct Streams {
    static func main() async throws(NetworkError) {
        let sink = try TCPListener(port: 5001)
        let source = try TCPListener(port: 5002)
        print("ready")
        Task {
            while let connection = try? await source.accept() {
                Task { try? await send(connection) }
            }
        }
        while true {
            let connection = try await sink.accept()
            Task { try? await receive(connection) }
        }
    }

    private static func receive(_ connection: TCPConnection) async throws(NetworkError) {
        while try await connection.waitUntilReadable(deadline: nil) {
            connection.consume(connection.receivedCount)
        }
    }

    private static func send(_ connection: TCPConnection) async throws(NetworkError) {
        let block = [UInt8](repeating: 0x61, count: 65536)
        while true {
            while connection.send(block.span.bytes) > 0 {}
            try await connection.waitUntilWritable(deadline: nil)
        }
    }
}
