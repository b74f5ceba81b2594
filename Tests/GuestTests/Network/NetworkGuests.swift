// The suites that put load on guests: one test at a time, so that none starves another.

import Testing

@Suite("Guests on a network", .enabled(if: Requirement.isMet, "\(Requirement.reason)"), .serialized)
enum NetworkGuests {}
