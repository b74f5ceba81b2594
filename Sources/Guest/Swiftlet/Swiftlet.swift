// The SDK: what an application imports.

@_exported import SwiftletRuntime

#if hasFeature(Embedded)
    @_exported import _Concurrency
#endif
