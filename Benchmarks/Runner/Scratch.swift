// The run's temporary folder: everything that is written on the way, removed at the end.

import Foundation

enum Scratch {
    private static let prefix = "swiftlet-bench-"

    static let folder = FileManager.default.temporaryDirectory
        .appending(path: "\(prefix)\(ProcessInfo.processInfo.processIdentifier)")

    /// Makes the folder, and removes those of runs that were killed.
    static func make() throws {
        let parent = FileManager.default.temporaryDirectory
        for name in (try? FileManager.default.contentsOfDirectory(atPath: parent.path)) ?? [] {
            guard name.hasPrefix(prefix), let process = Int32(name.dropFirst(prefix.count)),
                kill(process, 0) != 0, errno == ESRCH
            else { continue }
            try? FileManager.default.removeItem(at: parent.appending(path: name))
        }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        _ = Cleanup.add { try? FileManager.default.removeItem(at: folder) }
    }

    /// An empty file of its own, for a child's standard error.
    static func makeFile() -> URL {
        let file = folder.appending(path: UUID().uuidString)
        _ = FileManager.default.createFile(atPath: file.path, contents: nil)
        return file
    }
}
