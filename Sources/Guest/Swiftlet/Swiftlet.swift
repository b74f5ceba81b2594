// The SDK: what an application imports.

#if hasFeature(Embedded)
    @_exported import _Concurrency
#endif
@_exported import SwiftletRuntime
