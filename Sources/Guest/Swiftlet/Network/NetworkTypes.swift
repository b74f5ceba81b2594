// The protocol module's types that an application meets, under the SDK's roof.

import SwiftletNetwork

public typealias Instant = SwiftletNetwork.Instant
public typealias IPAddress = SwiftletNetwork.IPAddress
public typealias IPv4Address = SwiftletNetwork.IPv4Address
public typealias SocketAddress = SwiftletNetwork.SocketAddress
public typealias TCPConnectionStatistics = SwiftletNetwork.TCPConnectionStatistics

#if hasFeature(Embedded)
    import SwiftletMachine

    extension Instant {
        /// The time of the machine's clock.
        public static var now: Instant { Instant(nanoseconds: Clock.now) }

        /// The instant `duration` from now: a deadline.
        public static func now(plus duration: Duration) -> Instant {
            Instant(nanoseconds: Clock.deadline(after: duration))
        }
    }
#endif
