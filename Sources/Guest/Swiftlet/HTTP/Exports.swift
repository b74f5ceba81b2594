// `import Swiftlet` brings the HTTP types that handlers use.

@_exported import SwiftletHTTP
