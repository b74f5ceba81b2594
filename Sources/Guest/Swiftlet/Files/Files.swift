// The files that were packed into the image: read-only, in place, without a file system.

import SwiftletBootProtocol
import SwiftletMachine

#if hasFeature(Embedded)
    /// A file of the image. Its octets are part of the program: reading copies nothing.
    public struct File: @unchecked Sendable {
        private let contents: UnsafeRawBufferPointer
        /// Octets in the file.
        public var size: Int { contents.count }
        /// Seconds since 1970-01-01 00:00 UTC.
        public let modificationTime: Int64
        /// 128 bits of the contents' SHA-256: equal exactly when the contents are.
        public let tag: (UInt64, UInt64)

        init(_ contents: UnsafeRawBufferPointer, modificationTime: Int64, tag: (UInt64, UInt64)) {
            self.contents = contents
            self.modificationTime = modificationTime
            self.tag = tag
        }

        /// The octets. They stay where they are for the machine's life.
        public var bytes: RawSpan {
            @_lifetime(immortal)
            get { _overrideLifetime(contents.bytes, copying: ()) }
        }

        /// A copy of the octets.
        public var array: [UInt8] { [UInt8](contents) }

        /// The contents as text; what is not UTF-8 becomes U+FFFD.
        public var text: String { String(decoding: contents, as: UTF8.self) }
    }

    /// The image's files, by their path below the packed folder: `index.html`, `images/logo.png`.
    public enum Files {
        /// The archive's memory, which cannot be written, once its table has been checked; empty if
        /// there is none, or if it is damaged.
        nonisolated(unsafe) private static let packed: UnsafeRawBufferPointer = {
            let packed = Platform.packedFiles
            let isSound = (try? FileArchive(packed.bytes)) != nil
            return isSound ? packed : UnsafeRawBufferPointer(start: nil, count: 0)
        }()

        private static var archive: FileArchive {
            @_lifetime(immortal)
            get {
                FileArchive(alreadyChecked: _overrideLifetime(packed.bytes, copying: ()))
            }
        }

        /// The file of this path; nil if there is none. A leading `/` is ignored.
        public static func lookup(_ path: RawSpan) -> File? {
            var path = path
            if path.byteCount > 0, path.octet(0) == UInt8(ascii: "/") {
                path = path.extracting(1..<path.byteCount)
            }
            guard let entry = archive.find(path) else { return nil }
            return file(entry)
        }

        /// The file of this path; nil if there is none.
        public static func lookup(_ path: String) -> File? {
            var path = path
            return path.withUTF8 { lookup(UnsafeRawBufferPointer($0).bytes) }
        }

        /// Number of files in the image.
        public static var count: Int { archive.count }

        /// Calls `body` with each file's path and the file, in the order of paths.
        public static func forEach(_ body: (RawSpan, File) -> Void) {
            let archive = archive
            for index in 0..<archive.count {
                let entry = archive.entry(at: index)
                body(archive.path(of: entry), file(entry))
            }
        }

        private static func file(_ entry: FileArchive.Entry) -> File {
            File(
                UnsafeRawBufferPointer(rebasing: packed[entry.contents]),
                modificationTime: entry.modificationTime, tag: entry.tag)
        }
    }
#endif
