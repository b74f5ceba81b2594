// What the user sees: results on standard output, everything else on standard error.

import Glibc
import SystemPackage

/// Writes to the terminal.
enum Terminal {
    /// A whole line on standard error.
    static func note(_ line: String) {
        _ = try? FileDescriptor.standardError.writeAll(Array((line + "\n").utf8))
    }

    /// A whole line on standard output.
    static func result(_ line: String) {
        write(Array((line + "\n").utf8)[...])
    }

    /// Octets on standard output, as they are.
    static func write(_ octets: ArraySlice<UInt8>) {
        _ = try? FileDescriptor.standardOutput.writeAll(octets)
    }

    /// What is being done, in a line that the next one replaces; nothing where nobody watches.
    static func progress(_ text: String) {
        guard isatty(2) == 1 else { return }
        _ = try? FileDescriptor.standardError.writeAll(Array("\r\u{1B}[K\(text) …".utf8))
    }

    /// Removes the line of progress.
    static func clearProgress() {
        guard isatty(2) == 1 else { return }
        _ = try? FileDescriptor.standardError.writeAll(Array("\r\u{1B}[K".utf8))
    }
}
