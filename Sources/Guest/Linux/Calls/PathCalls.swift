// Paths: open(2), stat(2), access(2), mkdir(2), unlink(2), rename(2), link(2), symlink(2),
// readlink(2), chmod(2), truncate(2), fallocate(2), memfd_create(2), chdir(2), getcwd(2), statfs(2).

import SwiftletMachine
import SwiftletMemory

#if hasFeature(Embedded)
    extension Calls {
        nonisolated(unsafe) private static var creationMask: UInt32 = 0o022

        static func setCreationMask(_ mask: UInt64) -> Int64 {
            let old = creationMask
            creationMask = UInt32(mask & 0o777)
            return Int64(old)
        }

        /// The folder that relative paths of this descriptor begin at.
        private static func start(_ descriptor: UInt64) throws(Errno) -> Node {
            if UInt32(truncatingIfNeeded: descriptor) == UInt32(truncatingIfNeeded: current) {
                return FileTree.working
            }
            guard let node = try Descriptors.file(descriptor).node else { throw .notDirectory }
            return node
        }

        private static func place(
            _ descriptor: UInt64, _ path: UInt64, follows: Bool
        ) throws(Errno) -> Place {
            let path = try UserMemory.path(path)
            // The descriptor does not matter to an absolute path.
            return try FileTree.resolve(
                path, from: path.first == 0x2F ? nil : try start(descriptor), follows: follows)
        }

        private static func node(
            _ descriptor: UInt64, _ path: UInt64, follows: Bool = true
        ) throws(Errno) -> Node {
            guard let node = try place(descriptor, path, follows: follows).node else {
                throw .noEntry
            }
            return node
        }

        static func open(_ path: UInt64, _ flags: UInt32, _ mode: UInt64) throws(Errno) -> Int64 {
            try open(at: current, path, flags, mode)
        }

        static func open(
            at descriptor: UInt64, _ path: UInt64, _ flags: UInt32, _ mode: UInt64
        ) throws(Errno) -> Int64 {
            let isExclusive =
                flags & OpenFlags.create != 0 && flags & OpenFlags.exclusive != 0
            let place = try place(
                descriptor, path, follows: flags & OpenFlags.noFollow == 0 && !isExclusive)
            let writes = flags & OpenFlags.accessMode != 0
            let node: Node
            if let found = place.node {
                if isExclusive { throw .exists }
                if case .link = found.kind, flags & OpenFlags.path == 0 { throw .loop }
                if found.isDirectory, writes || flags & OpenFlags.create != 0 {
                    throw .isDirectory
                }
                if writes, found.isReadOnly { throw .readOnly }
                node = found
                if flags & OpenFlags.truncate != 0, writes { try node.pages?.resize(0) }
            } else {
                guard flags & OpenFlags.create != 0 else { throw .noEntry }
                try addition(place)
                node = Node(
                    .regular, permissions: UInt32(mode & 0o7777) & ~creationMask,
                    isReadOnly: false, modified: Clock.wallTime)
                place.folder.add(place.name, node)
            }
            if flags & OpenFlags.directory != 0, !node.isDirectory { throw .notDirectory }
            let kept =
                OpenFlags.accessMode | OpenFlags.append | OpenFlags.nonBlocking
                | OpenFlags.directory
            // Linux sets O_LARGEFILE for programs of 64 bits.
            return try Descriptors.add(
                NodeFile(node, flags: flags & kept | 0x8000),
                closesOnExec: flags & OpenFlags.closeOnExec != 0)
        }

        private static func store(_ status: FileStatus, at address: UInt64) throws(Errno) {
            // struct stat of x86-64, 144 octets.
            try UserMemory.clear(address, 144)
            try UserMemory.store(UInt64(1), at: address)
            try UserMemory.store(status.inode, at: address &+ 8)
            try UserMemory.store(status.links, at: address &+ 16)
            try UserMemory.store(status.mode, at: address &+ 24)
            try UserMemory.store(status.device, at: address &+ 40)
            try UserMemory.store(status.size, at: address &+ 48)
            try UserMemory.store(UInt64(4096), at: address &+ 56)
            try UserMemory.store((status.size + 511) / 512, at: address &+ 64)
            for offset in [UInt64(72), 88, 104] {
                try storeTime(status.modified, at: address &+ offset)
            }
        }

        static func status(
            path: UInt64, into address: UInt64, follows: Bool
        ) throws(Errno) -> Int64 {
            try store(try node(current, path, follows: follows).status, at: address)
            return 0
        }

        static func statusOfDescriptor(
            _ descriptor: UInt64, _ address: UInt64
        ) throws(Errno) -> Int64 {
            try store(try Descriptors.file(descriptor).status(), at: address)
            return 0
        }

        static func status(at a: Arguments) throws(Errno) -> Int64 {
            let (noFollow, emptyPath): (UInt64, UInt64) = (0x100, 0x1000)
            if a.d & emptyPath != 0 {
                let first: UInt8 = try UserMemory.load(a.b)
                if first == 0 { return try statusOfDescriptor(a.a, a.c) }
            }
            try store(try node(a.a, a.b, follows: a.d & noFollow == 0).status, at: a.c)
            return 0
        }

        static func access(_ path: UInt64) throws(Errno) -> Int64 {
            _ = try node(current, path)
            return 0
        }

        static func access(at descriptor: UInt64, _ path: UInt64) throws(Errno) -> Int64 {
            _ = try node(descriptor, path)
            return 0
        }

        static func makeFolder(
            _ descriptor: UInt64, _ path: UInt64, _ mode: UInt64
        ) throws(Errno) -> Int64 {
            let place = try place(descriptor, path, follows: false)
            try addition(place)
            place.folder.add(
                place.name,
                Node(
                    .directory, permissions: UInt32(mode & 0o7777) & ~creationMask,
                    isReadOnly: false, modified: Clock.wallTime))
            return 0
        }

        /// Whether a new entry can be made at a place.
        private static func addition(_ place: Place) throws(Errno) {
            guard place.node == nil else { throw .exists }
            guard !place.folder.isRemoved else { throw .noEntry }
            guard !place.folder.isReadOnly else { throw .readOnly }
        }

        static func remove(
            _ descriptor: UInt64, _ path: UInt64, _ flags: UInt64
        ) throws(Errno) -> Int64 {
            let place = try place(descriptor, path, follows: false)
            guard let node = place.node else { throw .noEntry }
            let removesFolder = flags & 0x200 != 0
            if node.isDirectory {
                guard removesFolder else { throw .isDirectory }
                guard !place.name.isEmpty else { throw .invalid }
                guard node.children.isEmpty else { throw .notEmpty }
            } else if removesFolder {
                throw .notDirectory
            }
            guard !place.folder.isReadOnly else { throw .readOnly }
            place.folder.remove(place.name)
            return 0
        }

        static func rename(
            _ from: UInt64, _ old: UInt64, _ to: UInt64, _ new: UInt64, _ flags: UInt64
        ) throws(Errno) -> Int64 {
            let source = try place(from, old, follows: false)
            let target = try place(to, new, follows: false)
            let noReplace: UInt64 = 1
            guard flags & ~noReplace == 0 else { throw .invalid }
            guard let node = source.node, !source.name.isEmpty else { throw .noEntry }
            guard !target.folder.isRemoved else { throw .noEntry }
            guard !source.folder.isReadOnly, !target.folder.isReadOnly else { throw .readOnly }
            // A folder cannot go into itself.
            var above: Node? = target.folder
            while let folder = above {
                if folder === node { throw .invalid }
                above = folder.parent
            }
            if let existing = target.node {
                if existing === node { return 0 }
                if flags & noReplace != 0 { throw .exists }
                if existing.isDirectory, !node.isDirectory { throw .isDirectory }
                if !existing.isDirectory, node.isDirectory { throw .notDirectory }
                guard existing.children.isEmpty else { throw .notEmpty }
                target.folder.remove(target.name)
            }
            source.folder.remove(source.name)
            node.links += 1
            target.folder.add(target.name, node)
            return 0
        }

        static func link(
            _ from: UInt64, _ old: UInt64, _ to: UInt64, _ new: UInt64
        ) throws(Errno) -> Int64 {
            let node = try node(from, old, follows: false)
            let target = try place(to, new, follows: false)
            guard !node.isDirectory else { throw .notPermitted }
            try addition(target)
            node.links += 1
            target.folder.add(target.name, node)
            return 0
        }

        static func makeLink(
            _ destination: UInt64, _ descriptor: UInt64, _ path: UInt64
        ) throws(Errno) -> Int64 {
            let contents = try UserMemory.path(destination)
            guard !contents.isEmpty else { throw .noEntry }
            let place = try place(descriptor, path, follows: false)
            try addition(place)
            let node = Node(
                .link, permissions: 0o777, isReadOnly: false, modified: Clock.wallTime)
            node.contents = contents
            place.folder.add(place.name, node)
            return 0
        }

        static func readLink(
            _ descriptor: UInt64, _ path: UInt64, _ address: UInt64, _ size: UInt64
        ) throws(Errno) -> Int64 {
            guard Int32(truncatingIfNeeded: size) > 0 else { throw .invalid }
            let node = try node(descriptor, path, follows: false)
            guard case .link = node.kind else { throw .invalid }
            let count = min(node.contents.count, Int(size & 0x7FFF_FFFF))
            try UserMemory.copy([UInt8](node.contents.prefix(count)), to: address)
            return Int64(count)
        }

        static func changeMode(
            _ descriptor: UInt64, _ path: UInt64, _ mode: UInt64
        ) throws(Errno) -> Int64 {
            let node = try node(descriptor, path)
            guard !node.isReadOnly else { throw .readOnly }
            node.permissions = UInt32(mode & 0o7777)
            return 0
        }

        static func changeMode(descriptor: UInt64, _ mode: UInt64) throws(Errno) -> Int64 {
            guard let node = try Descriptors.file(descriptor).node else { return 0 }
            guard !node.isReadOnly else { throw .readOnly }
            node.permissions = UInt32(mode & 0o7777)
            return 0
        }

        static func truncate(path: UInt64, _ size: UInt64) throws(Errno) -> Int64 {
            let node = try node(current, path)
            if node.isDirectory { throw .isDirectory }
            guard !node.isReadOnly else { throw .readOnly }
            guard signed(size) >= 0 else { throw .invalid }
            try NodeFile(node, flags: OpenFlags.writeOnly).truncate(size)
            return 0
        }

        static func truncate(descriptor: UInt64, _ size: UInt64) throws(Errno) -> Int64 {
            let file = try Descriptors.file(descriptor)
            guard signed(size) >= 0, file.isWritable else { throw .invalid }
            try file.truncate(size)
            return 0
        }

        /// Makes room that later writes need not find; with FALLOC_FL_KEEP_SIZE there is nothing to do.
        static func allocate(_ a: Arguments) throws(Errno) -> Int64 {
            let file = try Descriptors.file(a.a)
            let keepSize: UInt64 = 1
            guard signed(a.c) >= 0, signed(a.d) > 0 else { throw .invalid }
            guard a.b & ~keepSize == 0 else { throw .notSupported }
            guard file.isWritable else { throw .badDescriptor }
            if file.asPipe != nil { throw .illegalSeek }
            guard let pages = file.node?.pages else { throw .noDevice }
            if a.b & keepSize == 0 { try pages.allocate(a.c, a.d) }
            return 0
        }

        /// A file without a name, in memory as all of them.
        static func makeMemoryFile(_ name: UInt64, _ flags: UInt64) throws(Errno) -> Int64 {
            let (closesOnExec, mayBeSealed): (UInt64, UInt64) = (1, 2)
            let longestName = 249
            guard flags & ~(closesOnExec | mayBeSealed) == 0 else { throw .invalid }
            guard try UserMemory.path(name).count <= longestName else { throw .invalid }
            let node = Node(
                .regular, permissions: 0o777, isReadOnly: false, modified: Clock.wallTime)
            return try Descriptors.add(
                NodeFile(node, flags: OpenFlags.readWrite | 0x8000),
                closesOnExec: flags & closesOnExec != 0)
        }

        static func workingFolder(_ a: Arguments) throws(Errno) -> Int64 {
            guard !FileTree.working.isRemoved else { throw .noEntry }
            let path = FileTree.working.path + [0]
            guard UInt64(path.count) <= a.b else { throw .range }
            try UserMemory.copy(path, to: a.a)
            return Int64(path.count)
        }

        static func changeFolder(_ path: UInt64) throws(Errno) -> Int64 {
            let node = try node(current, path)
            guard node.isDirectory else { throw .notDirectory }
            FileTree.working = node
            return 0
        }

        static func changeFolder(descriptor: UInt64) throws(Errno) -> Int64 {
            guard let node = try Descriptors.file(descriptor).node, node.isDirectory else {
                throw .notDirectory
            }
            FileTree.working = node
            return 0
        }

        /// All of it is memory, as tmpfs is.
        static func fileSystem(_ a: Arguments) throws(Errno) -> Int64 {
            try UserMemory.clear(a.b, 120)
            let values: [UInt64] = [
                0x0102_1994, 4096, UInt64(PageFrames.totalCount), UInt64(PageFrames.freeCount),
                UInt64(PageFrames.freeCount),
            ]
            for (index, value) in values.enumerated() {
                try UserMemory.store(value, at: a.b &+ UInt64(index * 8))
            }
            try UserMemory.store(UInt64(255), at: a.b &+ 64)
            try UserMemory.store(UInt64(4096), at: a.b &+ 72)
            return 0
        }
    }
#endif
