// Frames and seeded random numbers, shared with other test targets, for every file here.

@_exported import SwiftletTestSupport
