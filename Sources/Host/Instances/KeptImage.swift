// The image as it was when its instance was made: a restart runs that, whatever has become of the file.

import CSwiftletProcess
import Glibc
import SwiftletBuild
import SystemPackage

extension InstanceFolder {
    /// Where the copy lies, if there is one.
    var keptImage: FilePath { path.appending("image") }

    /// The image to run: the copy, or the file itself for an instance that is never started again.
    public func image(of configuration: InstanceConfiguration) -> FilePath {
        FileSystem.isFile(keptImage) ? keptImage : FilePath(configuration.image)
    }

    /// Copies `image`, sharing its blocks where the file system can. Another name for the same file
    /// would not do: a copy over it would change this one, too.
    func keep(_ image: FilePath) throws(ToolError) {
        do {
            let source = try FileDescriptor.open(image, .readOnly, options: .closeOnExec)
            defer { try? source.close() }
            let target = try FileDescriptor.open(
                keptImage, .writeOnly, options: [.create, .truncate, .closeOnExec],
                permissions: .ownerReadWrite)
            defer { try? target.close() }
            let error = swiftlet_copy_file(source.rawValue, target.rawValue)
            if error != 0 { throw Errno(rawValue: error) }
        } catch {
            throw ToolError(
                "cannot keep a copy of '\(image)' in '\(path)': \(error)",
                hint: "Without --name and -d an instance needs none.",
                exitCode: ExitCode.monitor)
        }
        // Symbols of reports only, and large: the same file, as long as it is that.
        let debug = image.string + ".debug"
        let kept = keptImage.string + ".debug"
        if link(debug, kept) != 0, errno != ENOENT { symlink(debug, kept) }
    }
}
