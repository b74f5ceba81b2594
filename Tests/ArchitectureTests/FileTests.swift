// The shape of files: each says first what it is, and none grows out of hand.

import Foundation
import Testing

@Suite("Files")
struct FileTests {
    static let folders = ["Sources", "Tests", "Benchmarks", "Examples"]
    /// Longer files are listed, so that somebody thinks about them.
    static let intended = 400
    /// Longer ones are refused.
    static let longest = 800

    static var files: [SourceFile] { folders.flatMap(SourceFile.all) }

    @Test("The first line says what the file is")
    func firstLine() {
        for file in Self.files {
            #expect(file.lines.first?.hasPrefix("// ") ?? false, "\(file.path)")
        }
    }

    @Test("Files can be read at one sitting")
    func length() {
        for file in Self.files.sorted(by: { $0.lines.count > $1.lines.count })
        where file.lines.count > Self.intended {
            print("\(file.path): \(file.lines.count) lines (\(Self.intended) intended)")
            #expect(file.lines.count <= Self.longest, "\(file.path)")
        }
    }

    @Test("No tabs, no spaces at the end of a line")
    func whiteSpace() {
        for file in Self.files {
            for (number, line) in file.lines.enumerated() {
                #expect(
                    !line.contains("\t") && line.last != " ", "\(file.path):\(number + 1)")
            }
        }
    }
}
