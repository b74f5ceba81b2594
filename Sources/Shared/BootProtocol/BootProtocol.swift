// The words that guest, builder and monitor agree on. Everything that one side writes and another
// reads stands here, once.

/// Version of this agreement; an image built for another is refused by the command line.
public let bootProtocolVersion: UInt32 = 2
