// What the built-in monitor counts of its machine, and says of its own confinement: a page of memory
// that it writes and others on the host read, without asking it.
//
// The page is a memory file of the monitor's (memfd_create(2)), found by its name among the
// process's descriptors: `/proc/PID/fd`. Words are little-endian, 64 bits each: magic, version, then
// a counter each; from `momentsOffset` on a moment each; from `textOffset` on a text in UTF-8,
// `key: value` lines, ended by a zero.

/// One look at the page.
public struct MachineStatistics: Equatable, Sendable {
    /// The counters, in their order in the page. They begin at 0 with the machine and only grow.
    public enum Counter: Int, Sendable {
        // Exits: how often the guest left the virtual machine, by what for.
        case consoleCalls, waits, timeReads, registerReads, registerWrites, faults, interruptions,
            otherExits
        // The network card, seen from the guest. Octets are those of Ethernet frames.
        case receivedFrames, receivedOctets, sentFrames, sentOctets

        public static var count: Int { 12 }
    }

    /// Moments of a start, in the order in which they come. Each is a time of the host's monotonic
    /// clock in nanoseconds, at its own place in the page; 0 as long as it has not come.
    public enum Moment: Int, CaseIterable, Sendable {
        /// The monitor's first statement.
        case began
        /// The image is open, published ports are taken, the network's process is there.
        case networkReady
        /// KVM has made a machine and a processor.
        case machineMade
        /// The image lies in the guest's memory.
        case imageLoaded
        /// The guest's page tables are written.
        case pageTablesWritten
        /// All is set, the monitor is confined: the guest is entered.
        case entered
        /// The guest left the machine for the first time.
        case firstExit
        /// The guest has nothing to do for the first time, and waits: a server listens by then.
        case firstWait
    }

    /// The memory file's name.
    public static var fileName: String { "swiftlet-statistics" }
    /// Octets of the page.
    public static var size: Int { 4096 }
    /// "SWFTSTAT", read as a little-endian number.
    public static var magic: UInt64 { 0x5441_5453_5446_5753 }
    public static var version: UInt64 { 1 }
    /// Words before the first counter.
    public static var headerWords: Int { 2 }
    /// Octets before the first moment.
    public static var momentsOffset: Int { 512 }
    public static var textOffset: Int { 1024 }

    #if !hasFeature(Embedded)
        private var counters: [UInt64] = []
        private var moments: [UInt64] = []
        /// What the monitor says of itself, by key.
        public var words: [String: String] = [:]

        /// Reads a page; nil if it is none.
        public init?(_ page: RawSpan) {
            guard page.byteCount >= Self.size, page.littleEndian64(0) == Self.magic,
                page.littleEndian64(8) == Self.version
            else { return nil }
            for index in 0..<Counter.count {
                counters.append(page.littleEndian64((Self.headerWords + index) * 8))
            }
            for index in Moment.allCases.indices {
                moments.append(page.littleEndian64(Self.momentsOffset + index * 8))
            }
            var text: [UInt8] = []
            for offset in Self.textOffset..<Self.size {
                let octet = page.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
                if octet == 0 { break }
                text.append(octet)
            }
            for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
                guard let colon = line.firstIndex(of: ":") else { continue }
                let value = line[line.index(after: colon)...].drop { $0 == " " }
                words[String(line[..<colon])] = String(value)
            }
        }

        public subscript(counter: Counter) -> UInt64 { counters[counter.rawValue] }

        /// When it was; nil if it has not come.
        public subscript(moment: Moment) -> UInt64? {
            let time = moments[moment.rawValue]
            return time == 0 ? nil : time
        }

        /// All exits of the virtual machine.
        public var exits: UInt64 {
            counters[...Counter.otherExits.rawValue].reduce(0, &+)
        }
    #endif
}
