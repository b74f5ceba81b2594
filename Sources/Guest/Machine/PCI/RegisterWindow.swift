// A window of device registers in memory: volatile loads and stores at offsets from its start.

import CSwiftletMachine

#if !hasFeature(Embedded)
    /// A device's registers as a unit test models them: a load or a store may have effects, which
    /// plain memory cannot imitate. The guest has no such seam.
    public protocol RegisterModel: AnyObject {
        /// What a load of `width` octets (1, 2, 4 or 8) at `offset` gives.
        func load(at offset: UInt, width: Int) -> UInt64
        /// Takes a store of `width` octets (1, 2, 4 or 8) at `offset`.
        func store(_ value: UInt64, at offset: UInt, width: Int)
    }
#endif

/// Device registers that start at a physical address. Offsets are the caller's to keep within the
/// device's window: they are constants of a specification, or checked when a driver is set up.
public struct RegisterWindow {
    @usableFromInline let base: UInt
    #if !hasFeature(Embedded)
        @usableFromInline let model: (any RegisterModel)?
    #endif

    /// The registers at `address`, seen through the direct map.
    public init(at address: GuestPhysicalAddress) {
        base = UInt(bitPattern: DirectMap.pointer(to: address))
        #if !hasFeature(Embedded)
            model = nil
        #endif
    }

    #if !hasFeature(Embedded)
        /// The registers of a model, for tests on the host.
        public init(model: any RegisterModel) {
            base = 0
            self.model = model
        }

        private init(base: UInt, model: (any RegisterModel)?) {
            self.base = base
            self.model = model
        }

        /// The window that starts `offset` octets into this one.
        public func window(at offset: UInt) -> RegisterWindow {
            RegisterWindow(base: base &+ offset, model: model)
        }
    #else
        private init(base: UInt) {
            self.base = base
        }

        /// The window that starts `offset` octets into this one.
        public func window(at offset: UInt) -> RegisterWindow {
            RegisterWindow(base: base &+ offset)
        }
    #endif

    @inlinable public func load8(_ offset: UInt) -> UInt8 {
        #if !hasFeature(Embedded)
            if let model {
                return UInt8(truncatingIfNeeded: model.load(at: base &+ offset, width: 1))
            }
        #endif
        return swiftlet_load8(base &+ offset)
    }

    @inlinable public func load16(_ offset: UInt) -> UInt16 {
        #if !hasFeature(Embedded)
            if let model {
                return UInt16(truncatingIfNeeded: model.load(at: base &+ offset, width: 2))
            }
        #endif
        return swiftlet_load16(base &+ offset)
    }

    @inlinable public func load32(_ offset: UInt) -> UInt32 {
        #if !hasFeature(Embedded)
            if let model {
                return UInt32(truncatingIfNeeded: model.load(at: base &+ offset, width: 4))
            }
        #endif
        return swiftlet_load32(base &+ offset)
    }

    @inlinable public func store8(_ value: UInt8, at offset: UInt) {
        #if !hasFeature(Embedded)
            if let model { return model.store(UInt64(value), at: base &+ offset, width: 1) }
        #endif
        swiftlet_store8(base &+ offset, value)
    }

    @inlinable public func store16(_ value: UInt16, at offset: UInt) {
        #if !hasFeature(Embedded)
            if let model { return model.store(UInt64(value), at: base &+ offset, width: 2) }
        #endif
        swiftlet_store16(base &+ offset, value)
    }

    @inlinable public func store32(_ value: UInt32, at offset: UInt) {
        #if !hasFeature(Embedded)
            if let model { return model.store(UInt64(value), at: base &+ offset, width: 4) }
        #endif
        swiftlet_store32(base &+ offset, value)
    }
}
