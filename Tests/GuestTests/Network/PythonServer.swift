// Python's HTTP server with content of any length, in a process of its own, for guests that fetch.

import Glibc

/// Serves on the loopback interface until `stop`:
/// `/length/N`, `/chunked/N` and `/close/N` are N octets framed so, `/digest/N` is their SHA-256;
/// `/hang/N` never answers; what is posted comes back as its SHA-256.
final class PythonServer: Sendable {
    let port: UInt16
    private let process: pid_t

    private static let script = """
        import hashlib, http.server, random, socket, sys, time
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def log_message(self, *arguments): pass
            def pieces(self, count):
                generator = random.Random(count)
                while count > 0:
                    size = min(count, 65000)
                    yield generator.randbytes(size)
                    count -= size
            def text(self, text):
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())
            def do_GET(self):
                kind, count = self.path.strip("/").split("/")
                count = int(count)
                if kind == "hang": time.sleep(1000)
                if kind == "digest":
                    digest = hashlib.sha256()
                    for piece in self.pieces(count): digest.update(piece)
                    return self.text(digest.hexdigest())
                self.send_response(200)
                self.send_header("Content-Type", "application/x-test")
                if kind == "length": self.send_header("Content-Length", str(count))
                if kind == "chunked": self.send_header("Transfer-Encoding", "chunked")
                if kind == "close": self.send_header("Connection", "close")
                self.end_headers()
                name = b";name=value"
                for piece in self.pieces(count):
                    if kind == "chunked":
                        piece = b"%x%s\\r\\n%s\\r\\n" % (len(piece), name, piece)
                        name = b""
                    self.wfile.write(piece)
                if kind == "chunked": self.wfile.write(b"0\\r\\nTrailer: value\\r\\n\\r\\n")
            def do_POST(self):
                digest = hashlib.sha256()
                while size := int(self.rfile.readline(), 16):
                    digest.update(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                self.text(digest.hexdigest())
        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
        server = Server((sys.argv[1], 0), Handler)
        server.handle_error = lambda *arguments: None
        print(server.server_address[1], flush=True)
        server.serve_forever()
        """

    /// - Parameter address: of the loopback interface.
    init(on address: String = "127.0.0.1") throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw NetworkNamespace.failure("pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var process: pid_t = 0
        let texts: [String] = ["python3", "-c", Self.script, address]
        var words: [UnsafeMutablePointer<CChar>?] = texts.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        let code = posix_spawnp(&process, "python3", &actions, nil, words, environ)
        close(ends[1])
        defer { close(ends[0]) }
        guard code == 0 else { throw MachineFailure(description: "python3: error \(code)") }
        var line: [UInt8] = []
        var octet: UInt8 = 0
        while read(ends[0], &octet, 1) == 1, octet != 10 { line.append(octet) }
        guard let port = UInt16(String(decoding: line, as: UTF8.self)) else {
            kill(process, SIGKILL)
            throw MachineFailure(description: "python3 does not serve")
        }
        (self.port, self.process) = (port, process)
    }

    func stop() {
        kill(process, SIGKILL)
        waitpid(process, nil, 0)
    }
}
