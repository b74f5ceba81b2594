// The image's packed files, served over HTTP.

import SwiftletHTTP

#if hasFeature(Embedded)
    extension File: HTTPFile {}

    /// The files packed into the image.
    public struct PackedFiles: HTTPFileSource {
        public init() {}

        public func find(_ path: RawSpan) -> File? { Files.lookup(path) }
    }

    /// Answers requests with the files packed into the image.
    ///
    ///     let files = FileResponder()
    ///     try await server.run { request, response in
    ///         await files.respond(to: request, response)
    ///     }
    public typealias FileResponder = HTTPFileResponder<PackedFiles>

    extension HTTPFileResponder where Source == PackedFiles {
        /// - Parameter cacheControl: the Cache-Control field of files; none if nil.
        public init(cacheControl: StaticString? = nil) {
            self.init(source: PackedFiles(), cacheControl: cacheControl)
        }
    }
#endif
