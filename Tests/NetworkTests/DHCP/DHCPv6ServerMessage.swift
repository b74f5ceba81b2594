// What a server of stateless DHCPv6 answers, octet by octet, right or as a test wants it.

import SwiftletNetwork
import SwiftletTestSupport

/// A server's answer, octet by octet.
struct DHCPv6ServerMessage {
    static let identifier: [UInt8] = [0, 3, 0, 1] + be48(LonelyStack.hardware)

    var type: UInt8 = 7
    var transaction: [UInt8]
    var options: [(code: Int, value: [UInt8])]

    /// The answer that a client wants to the question `octets`.
    init(to octets: [UInt8], naming servers: [IPAddress] = [v6("2001:db8::53")]) {
        transaction = Array(octets[1..<4])
        options = [
            (1, Self.identifier), (2, [0, 2, 0, 0, 1, 2, 3]), (23, servers.flatMap(be128)),
        ]
    }

    mutating func set(_ code: Int, _ value: [UInt8]?) {
        options.removeAll { $0.code == code }
        if let value { options.append((code, value)) }
    }

    var octets: [UInt8] {
        [type] + transaction
            + options.flatMap { be16($0.code) + be16($0.value.count) + $0.value }
    }
}
