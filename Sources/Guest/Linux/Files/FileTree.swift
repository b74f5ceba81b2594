// Paths (path_resolution(7)), and what the tree holds at the start.

import SwiftletBootProtocol
import SwiftletMachine
import SwiftletMemory

#if hasFeature(Embedded)
    /// Where a path leads: the folder, the last name in it, and what is there, if anything is.
    struct Place {
        var folder: Node
        var name: [UInt8]
        var node: Node?
    }

    /// The one tree of files.
    enum FileTree {
        /// Links followed on the way at most.
        private static let mostLinks = 40
        private static let longestName = 255

        nonisolated(unsafe) static var root = Node(
            .directory, permissions: 0o755, isReadOnly: true)
        nonisolated(unsafe) static var working = root

        /// Follows `path` from `start`. A link at its end is followed if `follows`.
        static func resolve(
            _ path: [UInt8], from start: Node? = nil, follows: Bool = true
        ) throws(Errno) -> Place {
            guard !path.isEmpty else { throw .noEntry }
            var links = 0
            return try resolve(path, start ?? working, follows, &links)
        }

        private static func resolve(
            _ path: [UInt8], _ start: Node, _ follows: Bool, _ links: inout Int
        ) throws(Errno) -> Place {
            var place = Place(folder: root, name: [], node: path.first == 0x2F ? root : start)
            var index = 0
            var wantsDirectory = false
            while true {
                while index < path.count, path[index] == 0x2F { index += 1 }
                guard index < path.count else { break }
                let begin = index
                while index < path.count, path[index] != 0x2F { index += 1 }
                let name = [UInt8](path[begin..<index])
                guard name.count <= longestName else { throw .nameTooLong }
                guard let folder = place.node else { throw .noEntry }
                guard folder.isDirectory else { throw .notDirectory }
                wantsDirectory = index < path.count
                if name == [0x2E] { continue }
                if name == [0x2E, 0x2E] {
                    place.node = folder.parent ?? root
                    place.folder = place.node.unsafelyUnwrapped
                    place.name = []
                    continue
                }
                place = Place(folder: folder, name: name, node: folder.child(name))
                var rest = index
                while rest < path.count, path[rest] == 0x2F { rest += 1 }
                let isLast = rest == path.count
                if let node = place.node, case .link = node.kind,
                    follows || !isLast || wantsDirectory
                {
                    links += 1
                    guard links <= mostLinks else { throw .loop }
                    place = try resolve(node.contents, folder, true, &links)
                }
            }
            if wantsDirectory, let node = place.node, !node.isDirectory { throw .notDirectory }
            return place
        }

        /// What must be there.
        static func find(
            _ path: [UInt8], from start: Node? = nil, follows: Bool = true
        ) throws(Errno) -> Node {
            guard let node = try resolve(path, from: start, follows: follows).node else {
                throw .noEntry
            }
            return node
        }

        // MARK: The start

        static func build(programName: [UInt8]) {
            addPackedFiles()
            for name in ["tmp", "run", "dev", "proc", "etc", "sys"] as [StaticString] {
                _ = makeDirectory(root, [UInt8](name))
            }
            for name in ["tmp", "run"] as [StaticString] {
                let node = makeDirectory(root, [UInt8](name))
                node.isReadOnly = false
                node.permissions = 0o1777
            }
            let devices = makeDirectory(root, [UInt8]("dev"))
            add(devices, "null", .null)
            add(devices, "zero", .zero)
            add(devices, "random", .random)
            add(devices, "urandom", .random)
            add(devices, "console", .console)
            add(devices, "tty", .console)
            let shared = makeDirectory(devices, [UInt8]("shm"))
            shared.isReadOnly = false
            shared.permissions = 0o1777
            addProcessFiles(programName)
        }

        private static func addPackedFiles() {
            let archive = FileArchive(alreadyChecked: ImageContents.archive)
            for index in 0..<archive.count {
                let entry = archive.entry(at: index)
                let path = archive.bytes.array(entry.path)
                var folder = root
                var begin = 0
                for place in path.indices where path[place] == 0x2F {
                    folder = makeDirectory(folder, [UInt8](path[begin..<place]))
                    begin = place + 1
                }
                let node = Node(
                    .regular, permissions: 0o755, isReadOnly: true,
                    modified: UInt64(max(entry.modificationTime, 0)) &* 1_000_000_000)
                node.packed = entry.contents
                folder.add([UInt8](path[begin...]), node)
            }
        }

        private static func makeDirectory(_ parent: Node, _ name: [UInt8]) -> Node {
            if let node = parent.child(name) { return node }
            let node = Node(.directory, permissions: 0o755, isReadOnly: true)
            parent.add(name, node)
            return node
        }

        private static func add(_ folder: Node, _ name: StaticString, _ kind: Node.Kind) {
            folder.add(
                [UInt8](name), Node(kind, permissions: 0o666, isReadOnly: false))
        }

        private static func addProcessFiles(_ programName: [UInt8]) {
            let processes = makeDirectory(root, [UInt8]("proc"))
            let own = makeDirectory(processes, [UInt8]("self"))
            let link = Node(.link, permissions: 0o777, isReadOnly: true)
            link.contents = programName
            own.add([UInt8]("exe"), link)
            add(own, "maps", .generated { ProcessFiles.maps() })
            add(own, "status", .generated { ProcessFiles.status() })
            add(processes, "meminfo", .generated { ProcessFiles.memory() })
            add(processes, "cpuinfo", .generated { [UInt8]("processor\t: 0\n\n") })
            var folder = root
            for name in ["sys", "devices", "system", "cpu"] as [StaticString] {
                folder = makeDirectory(folder, [UInt8](name))
            }
            for name in ["possible", "online", "present"] as [StaticString] {
                add(folder, name, .generated { [UInt8]("0\n") })
            }
            let settings = makeDirectory(root, [UInt8]("etc"))
            if settings.child([UInt8]("hosts")) == nil {
                add(settings, "hosts", .generated { [UInt8]("127.0.0.1 localhost\n") })
            }
        }
    }

    /// Files of /proc.
    enum ProcessFiles {
        static func maps() -> [UInt8] {
            var text: [UInt8] = []
            for index in AddressSpace.mappings.indices {
                let mapping = AddressSpace.mappings[index]
                text.append(hexadecimal: mapping.start)
                text.append(0x2D)
                text.append(hexadecimal: mapping.end)
                text.append(0x20)
                text.append(mapping.protection.contains(.read) ? 0x72 : 0x2D)
                text.append(mapping.protection.contains(.write) ? 0x77 : 0x2D)
                text.append(mapping.protection.contains(.execute) ? 0x78 : 0x2D)
                text += [UInt8]("p 00000000 00:00 0 \n")
            }
            return text
        }

        static func memory() -> [UInt8] {
            var text = [UInt8]("MemTotal:       ")
            text.append(decimal: UInt64(PageFrames.totalCount) * 4)
            text += [UInt8](" kB\nMemFree:        ")
            text.append(decimal: UInt64(PageFrames.freeCount) * 4)
            text += [UInt8](" kB\nMemAvailable:   ")
            text.append(decimal: UInt64(PageFrames.freeCount) * 4)
            text += [UInt8](" kB\n")
            return text
        }

        static func status() -> [UInt8] {
            var text = [UInt8]("Name:\tprogram\nPid:\t1\nThreads:\t")
            text.append(decimal: UInt64(Scheduler.threads.count))
            text += [UInt8]("\nVmRSS:\t")
            text.append(decimal: UInt64(AddressSpace.residentPages) * 4)
            text += [UInt8](" kB\n")
            return text
        }
    }

    extension [UInt8] {
        mutating func append(decimal value: UInt64) {
            if value >= 10 { append(decimal: value / 10) }
            append(0x30 + UInt8(value % 10))
        }

        mutating func append(hexadecimal value: UInt64) {
            if value >= 16 { append(hexadecimal: value / 16) }
            let digit = UInt8(value % 16)
            append(digit < 10 ? 0x30 + digit : 0x57 + digit)
        }
    }
#endif
