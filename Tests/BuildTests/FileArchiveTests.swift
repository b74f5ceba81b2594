// The archive of packed files: written, found again, and damaged.

import SwiftletBootProtocol
import SwiftletTestSupport
import Testing

@testable import SwiftletBuild

@Suite("Files archive")
struct FileArchiveTests {
    static func archive() -> [UInt8] {
        FileArchive.write(
            ["index.html", "a/b.css", "a/a.css", "a.css", "z", "", "ü.txt"].map { path in
                PackedFile(
                    path: Array(path.utf8), contents: Array("contents of \(path)".utf8),
                    modificationTime: -5, tag: (7, 9))
            })
    }

    @Test("Every file is found, and no other")
    func roundTrip() throws {
        let bytes = Self.archive()
        let archive = try FileArchive(bytes.span.bytes)
        #expect(archive.count == 7)
        for path in ["index.html", "a/b.css", "a/a.css", "a.css", "z", "", "ü.txt"] {
            let octets = Array(path.utf8)
            guard let entry = archive.find(octets.span.bytes) else {
                Issue.record("'\(path)' is not found")
                continue
            }
            #expect(Array(bytes[entry.path]) == octets)
            #expect(Array(bytes[entry.contents]) == Array("contents of \(path)".utf8))
            #expect(entry.contents.lowerBound % 16 == 0)
            #expect(entry.modificationTime == -5 && entry.tag == (7, 9))
        }
        for path in ["index.htm", "index.html2", "b", "a/", "zz", "\u{0}"] {
            let octets = Array(path.utf8)
            let isFound = archive.find(octets.span.bytes) != nil
            #expect(!isFound)
        }
    }

    @Test("An archive that was checked before is not checked again")
    func alreadyChecked() {
        let bytes = Self.archive()
        let archive = FileArchive(alreadyChecked: bytes.span.bytes)
        #expect(archive.count == 7)
        let path = Array("a/b.css".utf8)
        let place = archive.find(path.span.bytes)?.contents
        #expect(place.map { Array(bytes[$0]) } == Array("contents of a/b.css".utf8))
        let none = FileArchive(alreadyChecked: RawSpan())
        #expect(none.count == 0)
        let isFound = none.find(path.span.bytes) != nil
        #expect(!isFound)
    }

    @Test("An archive without files is an archive")
    func empty() throws {
        let bytes = FileArchive.write([])
        let archive = try FileArchive(bytes.span.bytes)
        #expect(archive.count == 0)
        let isFound = archive.find(bytes.span.bytes) != nil
        #expect(!isFound)
    }

    @Test("Truncated archives are refused")
    func truncation() {
        let bytes = Self.archive()
        for count in 0..<bytes.count {
            let part = Array(bytes[..<count])
            let isRead = (try? FileArchive(part.span.bytes)) != nil
            #expect(!isRead, "\(count) octets")
        }
    }

    @Test("Damaged archives are refused or readable to the end", arguments: 0..<4 as Range<UInt64>)
    func mutations(seed: UInt64) {
        let bytes = Self.archive()
        var random = SeededRandom(seed: seed)
        for _ in 0..<2000 {
            var mutated = bytes
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                mutated[Int.random(in: 0..<400, using: &random)] =
                    UInt8.random(in: 0...255, using: &random)
            }
            guard let archive = try? FileArchive(mutated.span.bytes) else { continue }
            for index in 0..<archive.count {
                let entry = archive.entry(at: index)
                _ = archive.contents(of: entry).byteCount + archive.path(of: entry).byteCount
            }
        }
    }

    @Test("SHA-256 gives the digests of FIPS 180-4")
    func digests() {
        #expect(
            hexadecimal(SHA256.digest([]))
                == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(
            hexadecimal(SHA256.digest(Array("abc".utf8)))
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        // In unequal pieces, over several blocks.
        let text = Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)
        for cut in text.indices {
            var hash = SHA256()
            hash.update(Array(text[..<cut]))
            hash.update(Array(text[cut...]))
            #expect(
                hexadecimal(hash.finish())
                    == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
        }
    }
}
