// Datagrams to a guest and back.

import Glibc

enum Datagram {
    /// Sends `octets` and waits for what comes back.
    static func exchange(_ octets: [UInt8], with place: Place) throws -> [UInt8] {
        let open = { @Sendable () -> Int32 in
            socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC, 0)
        }
        let descriptor = try place.network.map { try $0.inside(open) } ?? open()
        guard descriptor >= 0 else { throw NetworkNamespace.failure("a socket") }
        defer { close(descriptor) }
        guard place.connect(descriptor) else { throw NetworkNamespace.failure("connect") }
        // UDP may lose one: three attempts of ten seconds.
        for _ in 0..<3 {
            _ = octets.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, 0) }
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&waiting, 1, 10_000) == 1 else { continue }
            return [UInt8](unsafeUninitializedCapacity: 65536) { buffer, count in
                count = max(0, recv(descriptor, buffer.baseAddress, buffer.count, 0))
            }
        }
        throw MachineFailure(description: "no datagram of \(octets.count) octets came back")
    }
}
