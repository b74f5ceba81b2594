// Writes an initramfs: a cpio archive in the "newc" format.
// Specification: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.

import Foundation

struct CpioArchive {
    private(set) var data = Data()
    private var entries: UInt32 = 0
    private var folders: Set<String> = []

    mutating func addFile(_ path: String, _ contents: Data) {
        addFolders(of: path)
        add(path, mode: 0o100755, contents)
    }

    mutating func addFolder(_ path: String) {
        guard !path.isEmpty, folders.insert(path).inserted else { return }
        addFolders(of: path)
        add(path, mode: 0o40755, Data())
    }

    /// Ends the archive.
    mutating func finish() {
        // The kernel opens its console before any program could make a device node.
        addFolder("dev")
        add("dev/console", mode: 0o20600, Data(), device: (5, 1))
        add("TRAILER!!!", mode: 0, Data())
    }

    private mutating func addFolders(of path: String) {
        guard let slash = path.lastIndex(of: "/") else { return }
        addFolder(String(path[..<slash]))
    }

    private mutating func add(
        _ path: String, mode: UInt32, _ contents: Data, device: (UInt32, UInt32) = (0, 0)
    ) {
        entries += 1
        let name = Data(path.utf8) + [0]
        let fields: [UInt32] = [
            entries, mode, 0, 0, 1, 0, UInt32(contents.count), 0, 0, device.0, device.1,
            UInt32(name.count), 0,
        ]
        data += Data("070701".utf8)
        for field in fields {
            let digits = String(field, radix: 16, uppercase: true)
            data += Data((String(repeating: "0", count: 8 - digits.count) + digits).utf8)
        }
        data += name
        pad()
        data += contents
        pad()
    }

    private mutating func pad() {
        while data.count % 4 != 0 { data.append(0) }
    }
}
