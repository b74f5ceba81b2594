// The tree of files: what the image packs, read-only, and /tmp, /dev, /proc in memory.

import SwiftletBootProtocol
import SwiftletMachine

#if hasFeature(Embedded)
    /// A file, folder, link or device.
    final class Node {
        enum Kind {
            case directory, regular, link
            /// Contents are made when it is opened.
            case generated(() -> [UInt8])
            case null, zero, random, console
        }

        nonisolated(unsafe) private static var lastInode: UInt64 = 1
        let inode: UInt64
        var kind: Kind
        var permissions: UInt32
        /// Nothing in it may be changed.
        var isReadOnly: Bool
        /// Of a link: where it leads.
        var contents: [UInt8] = []
        /// Of a file in memory.
        private(set) var pages: FilePages?
        /// Of a file of the image: where it lies in the archive. Read in place.
        var packed: Range<Int>?
        /// Each has a larger cookie than those before it, by which getdents(2) finds its place again.
        private(set) var children: [(name: [UInt8], node: Node, cookie: UInt64)] = []
        private var lastCookie: UInt64 = 1
        /// The folder that it is in; of a file with several names, the last of them. Nil when it is in
        /// none any more: nothing else keeps that folder.
        unowned(unsafe) private(set) var parent: Node?
        var modified: UInt64
        var links: UInt64 = 1

        init(_ kind: Kind, permissions: UInt32, isReadOnly: Bool, modified: UInt64 = 0) {
            self.kind = kind
            self.permissions = permissions
            self.isReadOnly = isReadOnly
            self.modified = modified
            Node.lastInode += 1
            inode = Node.lastInode
            if case .regular = kind, !isReadOnly { pages = FilePages() }
        }

        var isDirectory: Bool {
            if case .directory = kind { return true }
            return false
        }

        func child(_ name: some Collection<UInt8>) -> Node? {
            for entry in children where entry.name.elementsEqual(name) { return entry.node }
            return nil
        }

        func add(_ name: [UInt8], _ node: Node) {
            node.parent = self
            lastCookie += 1
            children.append((name, node, lastCookie))
        }

        /// Removes an entry; the node lives on while it is open.
        func remove(_ name: [UInt8]) {
            guard let index = children.firstIndex(where: { $0.name == name }) else { return }
            let node = children[index].node
            node.links -= 1
            if node.parent === self { node.parent = nil }
            children.remove(at: index)
        }

        /// A folder that has been removed, and is still open or worked in: nothing can be added to it.
        var isRemoved: Bool { isDirectory && parent == nil && self !== FileTree.root }

        var size: UInt64 {
            switch kind {
            case .regular: UInt64(packed?.count ?? pages?.size ?? 0)
            case .link: UInt64(contents.count)
            case .directory: 4096
            default: 0
            }
        }

        /// Its own, its parent's, and one of each folder in it: by that fts(3) knows when it has seen all.
        private var folderLinks: UInt64 {
            var count: UInt64 = 2
            for entry in children where entry.node.isDirectory { count += 1 }
            return count
        }

        var status: FileStatus {
            let type: UInt32 =
                switch kind {
                case .directory: FileStatus.directory
                case .regular, .generated: FileStatus.regular
                case .link: FileStatus.link
                case .null, .zero, .random, .console: FileStatus.character
                }
            return FileStatus(
                inode: inode, mode: type | permissions,
                links: isDirectory ? folderLinks : links,
                size: size, modified: modified)
        }

        /// The full path, for getcwd(2) and /proc/self/fd.
        var path: [UInt8] {
            var parts: [UInt8] = []
            var node = self
            while let parent = node.parent {
                guard let entry = parent.children.first(where: { $0.node === node }) else { break }
                parts = [0x2F] + entry.name + parts
                node = parent
            }
            return parts.isEmpty ? [0x2F] : parts
        }
    }

    extension [UInt8] {
        /// A literal's octets.
        init(_ text: StaticString) {
            self = (0..<text.utf8CodeUnitCount).map { text.octet($0) }
        }
    }
#endif
