// The protocol module's types that an application meets, under the SDK's roof.

import SwiftletNetwork

@_exported import struct SwiftletNetwork.IPAddress
@_exported import struct SwiftletNetwork.IPv4Address
@_exported import struct SwiftletNetwork.Instant
@_exported import struct SwiftletNetwork.SocketAddress
@_exported import struct SwiftletNetwork.TCPConnectionStatistics

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
