// Names and addresses as tests of the resolver write them.

import SwiftletTestSupport

@testable import SwiftletNetwork

/// A name from text; the test's own names are right.
func name(_ text: String) -> DomainName {
    guard let name = DomainName(text: Array(text.utf8).span.bytes) else {
        preconditionFailure("'\(text)' is no name")
    }
    return name
}

extension DNSText {
    /// The name of a query's question as it was sent.
    static func asked(_ query: [UInt8]) -> DomainName {
        var place = 12
        guard let name = DomainName(query.span.bytes, at: &place) else {
            preconditionFailure("the resolver wrote a bad name")
        }
        return name
    }
}

func v4(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) -> IPAddress {
    IPAddress(IPv4Address(a, b, c, d))
}
