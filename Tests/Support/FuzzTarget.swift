// What can be fuzzed: octets in, and nothing may trap. Tests replay what fuzzing has found.

import Glibc

/// Code that takes octets from outside. It fails by trapping.
public protocol FuzzTarget: Sendable {
    /// The folder of its corpus in Tests/Fuzzing/Corpus, and its name for `make fuzz`.
    static var name: String { get }
    /// Octets to begin from.
    static var seeds: [[UInt8]] { get }
    /// Takes any octets.
    static func run(_ octets: RawSpan)
}

extension FuzzTarget {
    /// The inputs that are kept in the repository, in the order of their names.
    public static var corpus: [[UInt8]] {
        let folder =
            #filePath.split(separator: "/").dropLast(2).reduce("") { "\($0)/\($1)" }
            + "/Fuzzing/Corpus/\(name)"
        return names(in: folder).sorted().compactMap { read("\(folder)/\($0)") }
    }

    /// Runs seeds and corpus.
    ///
    /// - Returns: how many there were of the corpus.
    public static func replay() -> Int {
        let corpus = corpus
        for input in seeds + corpus { run(input.span.bytes) }
        return corpus.count
    }

    private static func names(in folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }

    private static func read(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var octets: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65536)
        while case let count = fread(&piece, 1, piece.count, file), count > 0 {
            octets += piece[..<count]
        }
        return octets
    }
}

extension FuzzTarget {
    /// Runs inputs made of the seeds by chance: octets changed, cut out, repeated and cut off.
    public static func mutate(count: Int, seed: UInt64) {
        let seeds = seeds + corpus
        var random = SeededRandom(seed: seed)
        for _ in 0..<count {
            var input = seeds[Int(random.below(UInt64(seeds.count)))]
            for _ in 0...random.below(4) where !input.isEmpty {
                let place = Int(random.below(UInt64(input.count)))
                let end = min(input.count, place + 1 + Int(random.below(8)))
                switch random.below(6) {
                case 0: input[place] = UInt8(truncatingIfNeeded: random.next())
                case 1: input[place] ^= 1 << UInt8(random.below(8))
                case 2: input.removeSubrange(place..<end)
                case 3: input.insert(contentsOf: input[place..<end], at: place)
                case 4: input.removeSubrange(place...)
                default:
                    let other = seeds[Int(random.below(UInt64(seeds.count)))]
                    input.replaceSubrange(place..<end, with: other.prefix(Int(random.below(40))))
                }
            }
            run(input.span.bytes)
        }
    }
}
