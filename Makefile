# The few commands of this repository. `make run` and `make test` install what is missing.

PREFIX ?= /usr/local
PORT ?= 8080
FORMATTED = Sources Tests Examples Package.swift $(wildcard Benchmarks)

.PHONY: run test fuzz soak bench lint build install setup

# Builds the example website into an image, boots it, and serves it on this machine.
run: setup build
	.build/release/swiftlet run Examples/Website -p $(PORT):80

# Everything that is proved about this repository; the summary is the last line.
test: setup lint
	swift build --build-tests --quiet
	swift test --skip-build

# Each parser for so many seconds, by libFuzzer; `make fuzz TARGETS="network elf"` only these.
SECONDS_EACH ?= 60
fuzz:
	SECONDS_EACH=$(SECONDS_EACH) Tests/Fuzzing/run $(TARGETS)

# A mixed load on one machine, compared octet for octet; `make soak REQUESTS=1000000` a short one.
REQUESTS ?= 24000000
soak: setup build
	REQUESTS=$(REQUESTS) Tests/Soak/run

bench: build
	@.ci/setup bench
	swift run -c release SwiftletBench

lint:
	swift format lint --strict --recursive $(FORMATTED)

# Fully static, so that both start in a moment: the monitor is started anew for every machine.
STATIC = --static-swift-stdlib -Xswiftc -static-executable -Xswiftc -use-ld=lld

build:
	@[ -x .build/release/swiftlet-monitor ] \
	    || echo "Building the command line; the first time takes a few minutes."
	@swift build -c release --product swiftlet $(STATIC) --quiet
	@swift build -c release --product swiftlet-monitor $(STATIC) --quiet

# The command line in PREFIX/bin, and what it builds images from in PREFIX/share/swiftlet.
install: build
	install -D .build/release/swiftlet $(DESTDIR)$(PREFIX)/bin/swiftlet
	install -D .build/release/swiftlet-monitor $(DESTDIR)$(PREFIX)/bin/swiftlet-monitor
	rm -rf $(DESTDIR)$(PREFIX)/share/swiftlet
	install -d $(DESTDIR)$(PREFIX)/share/swiftlet/Sources
	cp -R Package.swift LICENSE SDK $(DESTDIR)$(PREFIX)/share/swiftlet
	cp -R Sources/Guest Sources/Shared $(DESTDIR)$(PREFIX)/share/swiftlet/Sources

# Installs what is missing, and says what.
setup:
	@.ci/setup
