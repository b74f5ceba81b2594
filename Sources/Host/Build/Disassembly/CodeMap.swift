// Where a program's instructions lie, and where instructions are known to begin.

/// The executable octets of a program, cut where its tables name a beginning or an end.
struct CodeMap {
    /// A run of executable octets that stand in the file. Its octets have numbers, from `base` on,
    /// which go on from one region to the next.
    struct Region: Equatable {
        var addresses: Range<UInt64>
        /// Where it stands in the file.
        var offset: Int
        var base: Int

        var count: Int { Int(addresses.upperBound - addresses.lowerBound) }
    }

    /// A run between two cuts.
    struct Stretch: Equatable {
        enum Kind: Equatable {
            /// Part of a function that a symbol or the unwind table names.
            case function
            /// Between functions, or where there are no names.
            case unnamed
            /// A symbol says that this is data.
            case data
        }

        /// Numbers of octets.
        var range: Range<Int>
        var kind: Kind
        /// Whether exceptions may land in it.
        var hasLandingPads = false
    }

    let regions: [Region]
    /// In ascending order, covering all regions.
    let stretches: [Stretch]
    /// Numbers of octets at which functions or symbols begin.
    let starts: [Int]
    /// Octets in all regions.
    let count: Int

    /// The code of `elf`, whose loaded segments are `segments`: in ascending order, without overlap.
    init(_ elf: ELFFile, segments: [ELFSegment], symbols: [ELFSymbol]) {
        var ranges: [(Range<UInt64>, Int)] = []
        for segment in segments where segment.isExecutable && segment.fileSize > 0 {
            let whole = segment.address..<(segment.address + segment.fileSize)
            for part in Self.sections(of: elf, in: whole) {
                ranges.append(
                    (part, Int(segment.offset + (part.lowerBound - segment.address))))
            }
        }
        var regions: [Region] = []
        var base = 0
        for (addresses, offset) in ranges {
            regions.append(Region(addresses: addresses, offset: offset, base: base))
            base += regions[regions.count - 1].count
        }
        self.regions = regions
        count = base
        (stretches, starts) = Self.cut(regions, elf, symbols)
    }

    /// The executable sections within a segment; all of it where there are none.
    private static func sections(of elf: ELFFile, in segment: Range<UInt64>) -> [Range<UInt64>] {
        var ranges: [Range<UInt64>] = []
        let isExecutable: UInt64 = 4
        let sections = elf.sections.filter {
            $0.isAllocated && $0.hasContents && $0.flags & isExecutable != 0 && $0.fileSize > 0
        }.sorted { ($0.address, $0.fileSize) < ($1.address, $1.fileSize) }
        for section in sections {
            let (end, overflow) = section.address.addingReportingOverflow(section.fileSize)
            guard !overflow, section.address >= segment.lowerBound, end <= segment.upperBound,
                section.address >= ranges.last?.upperBound ?? 0
            else { continue }
            ranges.append(section.address..<end)
        }
        return ranges.isEmpty ? [segment] : ranges
    }

    /// What a symbol or the unwind table says of a range.
    private struct Mark {
        var range: Range<Int>
        var kind: Stretch.Kind
        var hasLandingPads = false
    }

    private static func cut(
        _ regions: [Region], _ elf: ELFFile, _ symbols: [ELFSymbol]
    ) -> ([Stretch], [Int]) {
        var marks: [Mark] = []
        var starts: [Int] = []
        func add(_ start: UInt64, _ size: UInt64, _ kind: Stretch.Kind, _ hasPads: Bool = false) {
            guard let from = index(of: start, in: regions) else { return }
            let region = regions[first(regions) { $0.addresses.upperBound > start }]
            let length = Int(min(size, region.addresses.upperBound - start))
            if kind != .data { starts.append(from) }
            marks.append(Mark(range: from..<(from + length), kind: kind, hasLandingPads: hasPads))
        }
        for entry in UnwindTable.entries(elf) {
            add(entry.start, entry.end - entry.start, .function, entry.hasLandingPads)
        }
        for symbol in symbols {
            let kind: Stretch.Kind =
                symbol.isFunction ? .function : symbol.isData ? .data : .unnamed
            add(symbol.address, symbol.size, kind)
        }
        add(elf.entry, 0, .unnamed)

        marks.sort { $0.range.lowerBound < $1.range.lowerBound }
        starts.sort()
        var cuts = regions.flatMap { [$0.base, $0.base + $0.count] } + starts
        for mark in marks where mark.kind != .unnamed {
            cuts += [mark.range.lowerBound, mark.range.upperBound]
        }
        cuts.sort()

        var stretches: [Stretch] = []
        var next = 0
        var ends: (function: Int, data: Int, pads: Int) = (0, 0, 0)
        for (from, to) in zip(cuts, cuts.dropFirst()) where from < to {
            while next < marks.count, marks[next].range.lowerBound <= from {
                let mark = marks[next]
                let end = mark.range.upperBound
                if mark.kind == .function { ends.function = max(ends.function, end) }
                if mark.kind == .data { ends.data = max(ends.data, end) }
                if mark.hasLandingPads { ends.pads = max(ends.pads, end) }
                next += 1
            }
            let kind: Stretch.Kind =
                ends.data > from ? .data : ends.function > from ? .function : .unnamed
            stretches.append(
                Stretch(range: from..<to, kind: kind, hasLandingPads: ends.pads > from))
        }
        return (stretches, starts)
    }

    /// The number of the octet at `address`; nil if it is not in the code.
    func index(of address: UInt64) -> Int? { Self.index(of: address, in: regions) }

    private static func index(of address: UInt64, in regions: [Region]) -> Int? {
        let place = first(regions) { $0.addresses.upperBound > address }
        guard place < regions.count, regions[place].addresses.contains(address) else { return nil }
        return regions[place].base + Int(address - regions[place].addresses.lowerBound)
    }

    /// The region that octet `index` lies in.
    func region(of index: Int) -> Region {
        regions[Self.first(regions) { $0.base + $0.count > index }]
    }

    /// The first region, in their order, of which `isFound` is true, as of all that follow it.
    private static func first(_ regions: [Region], _ isFound: (Region) -> Bool) -> Int {
        var low = 0
        var high = regions.count
        while low < high {
            let middle = (low + high) / 2
            if isFound(regions[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
