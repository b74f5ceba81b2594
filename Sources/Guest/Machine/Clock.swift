// Time: the TSC, scaled by what the hypervisor says of it (pvclock, CPUID), or by a short
// measurement where nobody says; wall-clock time from the RTC; and the one-shot timer that ends an
// idle wait.

import CSwiftletMachine

#if hasFeature(Embedded)
    /// The machine's clocks.
    public enum Clock {
        /// TSC ticks → nanoseconds: (ticks * multiplier) >> shift.
        nonisolated(unsafe) private static var multiplier: UInt64 = 0
        private static let shift: UInt64 = 32
        nonisolated(unsafe) private static var base: UInt64 = 0
        /// TSC ticks a second.
        nonisolated(unsafe) private static var frequency: UInt64 = 0
        /// What `wallTime` is ahead of `now`; 0 before anybody has asked.
        nonisolated(unsafe) public private(set) static var wallOffset: UInt64 = 0

        /// Nanoseconds since the clock was first read. Monotonic.
        @inline(__always)
        public static var now: UInt64 {
            if multiplier == 0 { calibrate() }
            return nanoseconds(swiftlet_rdtsc() &- base)
        }

        /// Nanoseconds since 1970-01-01 00:00 UTC.
        public static var wallTime: UInt64 {
            if wallOffset == 0 {
                let seconds =
                    BuiltInMonitor.isPresent ? BuiltInMonitor.time() : RealTimeClock.seconds()
                wallOffset = seconds &* 1_000_000_000 &- now
            }
            return wallOffset &+ now
        }

        /// What `now` is made of: the TSC at its beginning, and 2^32 times the nanoseconds of a tick.
        public static var parameters: (base: UInt64, multiplier: UInt64) {
            if multiplier == 0 { calibrate() }
            return (base, multiplier)
        }

        @inline(__always)
        private static func nanoseconds(_ ticks: UInt64) -> UInt64 {
            let product = ticks.multipliedFullWidth(by: multiplier)
            return product.high << (64 - shift) | product.low >> shift
        }

        /// Ticks of a counter in a time, at most `.max`.
        private static func scale(_ nanoseconds: UInt64, by hertz: UInt64) -> UInt64 {
            let second: UInt64 = 1_000_000_000
            let product = nanoseconds.multipliedFullWidth(by: hertz)
            return product.high >= second
                ? .max : swiftlet_divide128(product.high, product.low, second)
        }

        /// Finds the TSC's frequency. Lazily, when time is first asked for.
        private static func calibrate() {
            base = swiftlet_rdtsc()
            frequency = announcedFrequency() ?? IntervalTimer.measureTimestampFrequency()
            // 10^9 * 2^32 / frequency
            let second: UInt64 = 1_000_000_000
            multiplier = swiftlet_divide128(second >> shift, second << shift, frequency)
        }

        private static func announcedFrequency() -> UInt64? {
            if BuiltInMonitor.isPresent { return swiftlet_monitor_frequency }
            let features = Processor.features
            if features.isKVM, let frequency = pvclockFrequency() { return frequency }
            // Leaf 4000_0010h: TSC in kHz (VMware's, offered by KVM and others too).
            if features.hypervisorLeaves >= 0x4000_0010, features.hypervisorLeaves < 0x4000_1000 {
                let kilohertz = swiftlet_cpuid(0x4000_0010, 0).eax
                if kilohertz != 0 { return UInt64(kilohertz) * 1000 }
            }
            if features.highestLeaf >= 0x15 {
                let ratio = swiftlet_cpuid(0x15, 0)
                if ratio.eax != 0, ratio.ebx != 0, ratio.ecx != 0 {
                    return UInt64(ratio.ecx) * UInt64(ratio.ebx) / UInt64(ratio.eax)
                }
            }
            return nil
        }

        // KVM's pvclock page (Linux: Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW).
        // Only its scale is used: our own time starts when first read.
        private static func pvclockFrequency() -> UInt64? {
            let clockSource2: UInt32 = 1 << 3
            guard swiftlet_cpuid(0x4000_0001, 0).eax & clockSource2 != 0 else { return nil }
            let page = Platform.physicalAddress(ofImage: &timeInfo)
            swiftlet_wrmsr(0x4B56_4D01, page | 1)
            let scale = withUnsafeBytes(of: &timeInfo) {
                (
                    $0.load(fromByteOffset: 24, as: UInt32.self),
                    $0.load(fromByteOffset: 28, as: Int8.self)
                )
            }
            swiftlet_wrmsr(0x4B56_4D01, 0)
            guard scale.0 != 0, scale.1 > -32, scale.1 < 32 else { return nil }
            // ns = ticks * 2^shift * multiplier / 2^32, so frequency = 10^9 * 2^32 / (multiplier * 2^shift)
            let unscaled = UInt64(1_000_000_000) << 32 / UInt64(scale.0)
            return scale.1 >= 0 ? unscaled >> UInt64(scale.1) : unscaled << UInt64(-scale.1)
        }
        /// 32 octets, aligned to 32 so that it stays in one page.
        nonisolated(unsafe) private static var timeInfo = TimeInfo()
        private struct TimeInfo {
            var words: SIMD4<UInt64> = .zero
        }

        // MARK: Waiting

        nonisolated(unsafe) private static var timerIsReady = false
        nonisolated(unsafe) private static var usesDeadlineMode = false
        /// Local APIC timer ticks a second, one-shot mode.
        nonisolated(unsafe) private static var timerFrequency: UInt64 = 0
        /// When the timer will fire, 0 if it is not running. One that fires early is harmless.
        nonisolated(unsafe) private static var armedDeadline: UInt64 = 0

        private static let deadlineMSR: UInt32 = 0x6E0

        /// Sleeps until a device interrupt or until `deadline` (nanoseconds of `now`; `.max`: no
        /// deadline). May return early. Interrupts are enabled in here alone.
        public static func wait(until deadline: UInt64) {
            if BuiltInMonitor.isPresent {
                let now = deadline == .max ? 0 : self.now
                return BuiltInMonitor.wait(deadline > now ? deadline - now : 0)
            }
            if deadline != .max {
                let now = self.now
                guard deadline > now else { return }
                // A timer that runs already and fires no later will do: it costs an exit to set.
                if armedDeadline <= now || armedDeadline > deadline { arm(deadline, now: now) }
            }
            InterruptController.prepare()
            swiftlet_sti_hlt_cli()
        }

        /// Has an interrupt come at `deadline`, in nanoseconds of `now`, at the latest: for what runs
        /// with interrupts enabled, which native applications do not.
        public static func interrupt(at deadline: UInt64, now: UInt64) {
            if armedDeadline <= now || armedDeadline > deadline { arm(deadline, now: now) }
        }

        private static func arm(_ deadline: UInt64, now: UInt64) {
            prepareTimer()
            armedDeadline = deadline
            if usesDeadlineMode {
                swiftlet_wrmsr(
                    deadlineMSR, swiftlet_rdtsc() &+ scale(deadline - now, by: frequency))
            } else {
                let whole = min(scale(deadline - now, by: timerFrequency), .max - 1)
                // Rounded up, and no longer than the register is wide: then it fires early, and
                // has to be known as fired. The frequency is never measured too low.
                let most: UInt64 = 0xFFFF_FFFF
                if whole >= most {
                    armedDeadline = now + most * 1_000_000_000 / timerFrequency
                }
                InterruptController.write(.timerInitialCount, UInt32(min(whole + 1, most)))
            }
        }

        private static func prepareTimer() {
            guard !timerIsReady else { return }
            timerIsReady = true
            InterruptController.prepare()
            usesDeadlineMode = Processor.features.hasDeadlineTimer
            if usesDeadlineMode {
                InterruptController.write(
                    .timerVector, UInt32(Processor.timerVector) | 1 << 18)
                swiftlet_full_barrier()
            } else {
                InterruptController.write(.timerDivide, 0b1011)  // by 1
                InterruptController.write(.timerVector, UInt32(Processor.timerVector) | 1 << 16)
                InterruptController.write(.timerInitialCount, .max)
                let start = InterruptController.read(.timerCurrentCount)
                let began = now
                var elapsed: UInt64 = 0
                while elapsed < 200_000 { elapsed = now - began }
                let count = UInt64(start &- InterruptController.read(.timerCurrentCount))
                timerFrequency = max(count * 1_000_000_000 / elapsed, 1)
                InterruptController.write(.timerVector, UInt32(Processor.timerVector))
            }
        }
    }
#endif
