// The file behind a machine's disk: opened and locked before there is a guest, read and written after.

import Glibc

/// What is asked for with `--disk FILE[:ro]`.
struct DiskSettings: Equatable {
    var path: String
    var isReadOnly: Bool

    init?(_ text: String) {
        isReadOnly = text.hasSuffix(":ro")
        path = isReadOnly ? String(text.dropLast(3)) : text
        if path.isEmpty { return nil }
    }
}

/// A regular file or block device that is a disk, as long as it was when it was opened.
struct DiskFile {
    static let sectorSize: UInt64 = 512

    let file: Int32
    let sectorCount: UInt64
    let isReadOnly: Bool

    /// A file that is open already, for tests.
    init(file: Int32, sectorCount: UInt64, isReadOnly: Bool) {
        self.file = file
        self.sectorCount = sectorCount
        self.isReadOnly = isReadOnly
    }

    /// Opens and locks the file (flock(2)): for this machine alone, or shared by all that only read.
    /// The lock ends with the process.
    init(_ settings: DiskSettings) throws(MonitorError) {
        let path = settings.path
        isReadOnly = settings.isReadOnly
        // Without O_NONBLOCK a FIFO would wait for its other end.
        let file = open(
            path, (isReadOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else {
            let number = errno
            let error = MonitorError.system("cannot open the disk '\(path)'")
            switch number {
            case ENOENT:
                throw MonitorError(
                    error.message + "\n  Make one, for example: truncate -s 64M FILE")
            case EACCES, EPERM, EROFS:
                guard !isReadOnly else { throw error }
                throw MonitorError(
                    error.message + "\n  Where it may only be read, write --disk FILE:ro.")
            default: throw error
            }
        }
        var status = stat()
        guard fstat(file, &status) == 0,
            [S_IFREG, S_IFBLK].contains(status.st_mode & S_IFMT)
        else { throw MonitorError("the disk '\(path)' is no file and no block device") }
        let size = lseek(file, 0, SEEK_END)
        guard size > 0, UInt64(size) % Self.sectorSize == 0 else {
            throw MonitorError(
                "the disk '\(path)' has \(size) octets, which is no multiple of 512 above 0"
                    + "\n  Fill its last sector: truncate -s %512 FILE; an empty one: -s 64M")
        }
        guard flock(file, (isReadOnly ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0 else {
            guard errno == EWOULDBLOCK else { throw .system("cannot lock the disk '\(path)'") }
            throw MonitorError(
                "the disk '\(path)' is in use by another machine"
                    + "\n  Stop that one, or let all of them only read it: --disk FILE:ro")
        }
        self.file = file
        sectorCount = UInt64(size) / Self.sectorSize
    }

    /// Reads into the vectors from `sector`; false if not all of them could be filled. They are
    /// changed.
    func read(
        _ vectors: UnsafeMutablePointer<iovec>, count: Int, sector: UInt64
    ) -> Bool {
        Self.transfer(vectors, count, sector) { preadv(file, $0, $1, $2) }
    }

    /// Writes the vectors from `sector`; false if not all of them could be. They are changed.
    func write(
        _ vectors: UnsafeMutablePointer<iovec>, count: Int, sector: UInt64
    ) -> Bool {
        Self.transfer(vectors, count, sector) { pwritev(file, $0, $1, $2) }
    }

    /// Waits until what was written would outlast the host; false if it may not.
    func flush() -> Bool {
        while fdatasync(file) != 0 {
            guard errno == EINTR else { return false }
        }
        return true
    }

    /// Goes on until all is done, since the kernel may do a part at a time.
    private static func transfer(
        _ vectors: UnsafeMutablePointer<iovec>, _ count: Int, _ sector: UInt64,
        _ call: (UnsafePointer<iovec>, Int32, off_t) -> Int
    ) -> Bool {
        var offset = off_t(sector * sectorSize)
        var index = 0
        while true {
            while index < count, vectors[index].iov_len == 0 { index += 1 }
            guard index < count else { return true }
            var done = call(vectors + index, Int32(count - index), offset)
            if done < 0, errno == EINTR { continue }
            guard done > 0 else { return false }
            offset += done
            while done > 0 {
                let part = min(done, vectors[index].iov_len)
                vectors[index].iov_base += part
                vectors[index].iov_len -= part
                done -= part
                if vectors[index].iov_len == 0 { index += 1 }
            }
        }
    }
}
