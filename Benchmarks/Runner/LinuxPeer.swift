// The Linux peer: Debian's cloud kernel and nginx, or our C server, in the same kind of machine.
// Packages are unpacked into the user's cache and never installed.

import Foundation

struct LinuxPeer {
    enum Server: String, CaseIterable {
        case nginx = "nginx in a Linux VM"
        case epoll = "C epoll server in a Linux VM"

        var command: String {
            switch self {
            case .nginx: "/usr/sbin/nginx -c /nginx.conf"
            case .epoll: "/epoll_server 80"
            }
        }
    }

    static let modules = [
        "virtio_ring", "virtio", "virtio_mmio", "failover", "net_failover", "virtio_net",
    ]
    static let packages = ["nginx", "libc6", "libcrypt1", "libpcre2-8-0", "zlib1g", "libssl3"]
    static let libraries = [
        "libcrypt.so.1", "libpcre2-8.so.0", "libssl.so.3", "libcrypto.so.3", "libz.so.1",
        "libc.so.6",
    ]
    /// The kernel finds the frequency neither by itself nor without a 100 ms loop here. The values
    /// only scale its delays.
    static let kernelArguments =
        "console=ttyS0 quiet panic=-1 cryptomgr.notests tsc_early_khz=2000000 lpj=4000000"

    let kernel: URL
    let initialRAMDisk: URL
    /// nginx of the machine, as a command of this one.
    let nginx: [String]
    /// What was unpacked, for the report.
    let versions: [String]

    init(peers: URL, work: URL) throws(NotMeasured) {
        let cache = Self.cacheFolder
        let root = try Self.unpackedPackages(in: cache)
        versions = ((try? FileManager.default.contentsOfDirectory(atPath: cache.path)) ?? [])
            .filter { $0.hasSuffix(".deb") && ($0.hasPrefix("linux-") || $0.hasPrefix("nginx")) }
            .map { String($0.dropLast(4)) }.sorted()
        let libraries = root.path + "/lib/x86_64-linux-gnu"
        nginx = [
            libraries + "/ld-linux-x86-64.so.2", "--library-path",
            "\(libraries):\(root.path)/usr/lib/x86_64-linux-gnu", root.path + "/usr/sbin/nginx",
        ]
        kernel = work.appending(path: "vmlinux")
        initialRAMDisk = work.appending(path: "initrd.cpio")
        try Self.extractKernel(from: root, to: kernel, work: work)
        try Self.writeInitialRAMDisk(initialRAMDisk, root: root, peers: peers, work: work)
    }

    func configuration(_ server: Server) -> MachineConfiguration {
        configuration(command: server.command)
    }

    /// A machine whose only process is `command`.
    func configuration(command: String) -> MachineConfiguration {
        var configuration = MachineConfiguration(kernel: kernel, initialRAMDisk: initialRAMDisk)
        configuration.machineOptions = ",pit=on,pic=on,rtc=on"
        configuration.memory = 256 * 1024
        configuration.commandLine =
            "\(Self.kernelArguments) -- \(NetworkNamespace.guestAddress) 255.255.255.0 "
            + command
        return configuration
    }

    private static var cacheFolder: URL {
        let environment = ProcessInfo.processInfo.environment
        let base =
            environment["XDG_CACHE_HOME"].map { URL(filePath: $0) }
            ?? FileManager.default.homeDirectoryForCurrentUser.appending(path: ".cache")
        return base.appending(path: "swiftlet-bench")
    }

    /// The folder with all packages unpacked; downloads them the first time.
    private static func unpackedPackages(in cache: URL) throws(NotMeasured) -> URL {
        let root = cache.appending(path: "root")
        let complete = cache.appending(path: "complete")
        if FileManager.default.fileExists(atPath: complete.path) { return root }
        do {
            try? FileManager.default.removeItem(at: cache)
            try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
        } catch { throw NotMeasured("cannot write to \(cache.path)") }
        // The package with the plain name only points at the newest kernel.
        let depends = try Command.run(["apt-cache", "depends", "linux-image-cloud-amd64"])
        guard
            let image = depends.split(whereSeparator: \.isWhitespace)
                .first(where: { $0.hasPrefix("linux-image-") && $0 != "linux-image-cloud-amd64" })
        else { throw NotMeasured("no linux-image-cloud-amd64 package: run `apt-get update`") }
        try Command.run(["apt-get", "download", String(image)] + packages, in: cache)
        let files = (try? FileManager.default.contentsOfDirectory(atPath: cache.path)) ?? []
        for file in files where file.hasSuffix(".deb") {
            try Command.run(["dpkg", "-x", cache.appending(path: file).path, root.path])
        }
        _ = FileManager.default.createFile(atPath: complete.path, contents: nil)
        return root
    }

    /// QEMU boots a bzImage through 16-bit code, the ELF inside it through PVH, as it does ours.
    /// Specification: Linux, Documentation/arch/x86/boot.rst.
    private static func extractKernel(from root: URL, to kernel: URL, work: URL)
        throws(NotMeasured)
    {
        let boot = root.appending(path: "boot")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: boot.path)) ?? []
        guard let name = names.first(where: { $0.hasPrefix("vmlinuz") }),
            let image = try? Data(contentsOf: boot.appending(path: name)), image.count > 0x250
        else { throw NotMeasured("the kernel package holds no vmlinuz") }
        func word(_ offset: Int) -> Int {
            image[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        let setupSectors = image[0x1F1] == 0 ? 4 : Int(image[0x1F1])
        let start = (setupSectors + 1) * 512 + word(0x248)
        let length = word(0x24C)
        guard length > 4, start + length <= image.count else {
            throw NotMeasured("\(name) is no bzImage with a payload")
        }
        let compressed = work.appending(path: "vmlinux.compressed")
        // The last four octets are the unpacked size, not part of the stream.
        let payload = image[start..<start + length - 4]
        do { try payload.write(to: compressed) } catch { throw NotMeasured("\(error)") }
        let tools: [(magic: [UInt8], command: [String])] = [
            ([0x02, 0x21], ["lz4", "-dcq"]), ([0x28, 0xB5], ["zstd", "-dcq"]),
            ([0xFD, 0x37], ["xz", "-dc"]), ([0x1F, 0x8B], ["gzip", "-dc"]),
        ]
        guard let tool = tools.first(where: { payload.starts(with: $0.magic) }) else {
            throw NotMeasured("\(name) is compressed in a way that this runner does not know")
        }
        try Command.run([
            "sh", "-c",
            "\(tool.command.joined(separator: " ")) <'\(compressed.path)' >'\(kernel.path)'",
        ])
        try? FileManager.default.removeItem(at: compressed)
    }

    private static func writeInitialRAMDisk(_ file: URL, root: URL, peers: URL, work: URL)
        throws(NotMeasured)
    {
        let contents = filesByName(in: root)
        var archive = CpioArchive()
        func find(_ name: String) throws(NotMeasured) -> Data {
            guard let path = contents[name], let data = try? Data(contentsOf: path) else {
                throw NotMeasured("the packages hold no \(name)")
            }
            return data
        }
        for program in ["init", "epoll_server", "streams"] {
            let binary = work.appending(path: program)
            try Command.run([
                "cc", "-O2", "-D_GNU_SOURCE", "-static", "-s", "-o", binary.path,
                peers.appending(path: "\(program).c").path,
            ])
            guard let data = try? Data(contentsOf: binary) else {
                throw NotMeasured("cannot read \(binary.path)")
            }
            archive.addFile(program, data)
        }
        for module in modules { archive.addFile("modules/\(module).ko", try find("\(module).ko")) }
        for library in libraries {
            archive.addFile("lib/x86_64-linux-gnu/\(library)", try find(library))
        }
        archive.addFile("lib64/ld-linux-x86-64.so.2", try find("ld-linux-x86-64.so.2"))
        archive.addFile("usr/sbin/nginx", try find("nginx"))
        guard let settings = try? Data(contentsOf: peers.appending(path: "nginx.conf")) else {
            throw NotMeasured("Benchmarks/Peers/nginx.conf is missing")
        }
        archive.addFile("nginx.conf", settings)
        archive.addFile("etc/passwd", Data("root:x:0:0::/:/bin/sh\n".utf8))
        archive.addFile("etc/group", Data("root:x:0:\n".utf8))
        archive.addFile("site/index.html", Data("Hello".utf8))
        archive.finish()
        do { try archive.data.write(to: file) } catch { throw NotMeasured("\(error)") }
    }

    /// Regular files by their last path component; a library's short name is a link, resolved,
    /// unless it leads out of the folder and so to a file of the host's.
    private static func filesByName(in root: URL) -> [String: URL] {
        var files: [String: URL] = [:]
        let enumerator = FileManager.default.enumerator(atPath: root.path)
        while let path = enumerator?.nextObject() as? String {
            let url = root.appending(path: path).resolvingSymlinksInPath()
            var isFolder: ObjCBool = false
            let name = (path as NSString).lastPathComponent
            guard url.path.hasPrefix(root.resolvingSymlinksInPath().path),
                FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder),
                !isFolder.boolValue, files[name] == nil || path.contains("bin/")
            else { continue }
            files[name] = url
        }
        return files
    }
}
