// What routers advertise (RFC 4861 §6.3.4, RFC 4862 §5.5.3, RFC 8106), and the way to the next hop.

/// What a router has advertised, until it grows old.
struct Advertised: BitwiseCopyable {
    enum Kind: UInt8 {
        /// A default router.
        case router
        /// A network whose hosts are neighbours.
        case prefix
        case nameServer
    }

    var kind: Kind
    /// Bits of the address that count.
    var length: UInt8
    var address: IPAddress
    var until: Instant
}

extension IPv6Host {
    /// The neighbour that a packet goes to; nil if there is no way (RFC 4861 §5.2, RFC 5942 §4).
    func nextHop(to destination: IPAddress) -> IPAddress? {
        if destination.isLinkLocal { return destination }
        for index in 0..<advertised.count
        where advertised[index].kind == .prefix
            && advertised[index].address.matches(destination, length: advertised[index].length)
        {
            return destination
        }
        guard let router = first(.router) else { return nil }
        return advertised[router].address
    }

    /// Where the first of a kind stands.
    func first(_ kind: Advertised.Kind) -> Int? {
        for index in 0..<advertised.count where advertised[index].kind == kind { return index }
        return nil
    }

    /// Name servers that routers have named, in their order.
    var nameServers: [IPAddress] {
        var addresses: [IPAddress] = []
        for index in 0..<advertised.count where advertised[index].kind == .nameServer {
            addresses.append(advertised[index].address)
        }
        return addresses
    }

    /// What an attacker cannot shorten a lifetime below (RFC 4862 §5.5.3 (e)).
    private static var twoHours: UInt64 { 7_200_000_000_000 }

    /// Takes an advertisement that has been checked.
    mutating func receive(
        _ advertisement: RouterAdvertisement, _ message: RawSpan, from router: IPAddress,
        now: Instant
    ) {
        let lifetime = Self.end(now, UInt32(advertisement.lifetimeSeconds))
        note(.router, router, until: lifetime, now: now)
        // 0 says nothing, and a few hops would cut us off from all that is not near.
        if advertisement.hopLimit >= 32 { hopLimit = advertisement.hopLimit }
        if advertisement.lifetimeSeconds > 0 { solicitationAt = .never }
        // M, addresses, or O, other things (RFC 4861 §4.2).
        if message.octet(at: 5) & 0xC0 != 0 { hasServers = true }
        var offset = RouterAdvertisement.fixedLength
        while offset < message.byteCount {
            let (option, next) = RouterAdvertisement.option(in: message, at: offset)
            switch option {
            case .prefix(let prefix): receive(prefix, now: now)
            case .mtu(let value):
                // Less than every link carries is nonsense (RFC 4861 §6.3.4).
                if value >= IPv6Header.minimumMTU { mtu = min(value, 65_535) }
            case .nameServers(let seconds, let count, let first):
                for index in 0..<count {
                    let server = message.address(at: first + 16 * index)
                    if server.isMulticast || server.high == 0 { continue }
                    note(.nameServer, server, until: Self.end(now, seconds), now: now)
                }
            case .other: break
            }
            offset = next
        }
        hasChanged = true
        expire(now: now)
        schedule()
    }

    private mutating func receive(_ prefix: RouterAdvertisement.Prefix, now: Instant) {
        guard prefix.length <= 128, !prefix.address.isLinkLocal, !prefix.address.isMulticast,
            prefix.address.high != 0
        else { return }
        let valid = Self.end(now, prefix.validSeconds)
        if prefix.isOnLink {
            note(.prefix, prefix.address, prefix.length, until: valid, now: now)
        }
        // RFC 4862 §5.5.3.
        guard prefix.isForAddresses, prefix.length == 64,
            prefix.preferredSeconds <= prefix.validSeconds
        else { return }
        let preferred = Self.end(now, prefix.preferredSeconds)
        for index in 0..<addresses.count where isMade(index, prefix.address.high) {
            addresses[index].preferredUntil = preferred
            let atLeast = min(addresses[index].validUntil, now.advanced(by: Self.twoHours))
            addresses[index].validUntil = max(valid, atLeast)
            return
        }
        guard prefix.validSeconds > 0 else { return }
        addAddress(prefix: prefix.address.high, preferred: preferred, valid: valid, now: now)
    }

    /// True for an address that was made here for this prefix.
    func isMade(_ index: Int, _ prefix: UInt64) -> Bool {
        let own = addresses[index]
        return own.address.high == prefix
            && own.address == makeAddress(prefix: prefix, conflicts: own.conflicts)
    }

    /// A router answers no longer: another one is asked first.
    mutating func demote(_ router: IPAddress) {
        guard let index = first(.router), advertised[index].address == router else { return }
        let entry = advertised[index]
        advertised.remove(at: index)
        advertised.append(entry)
        hasChanged = true
    }

    /// A router says that it is none any longer.
    mutating func forget(router: IPAddress) {
        note(.router, router, until: Instant(nanoseconds: 0), now: Instant(nanoseconds: 0))
        schedule()
    }

    /// Sets or adds what is advertised; what is over is taken away by `expire`.
    mutating func note(
        _ kind: Advertised.Kind, _ address: IPAddress, _ length: UInt8 = 128, until: Instant,
        now: Instant
    ) {
        var count = 0
        for index in 0..<advertised.count where advertised[index].kind == kind {
            count += 1
            if advertised[index].length == length,
                advertised[index].address.matches(address, length: length)
            {
                advertised[index].until = until
                return
            }
        }
        guard until > now, count < Self.mostAdvertised else { return }
        advertised.append(
            Advertised(kind: kind, length: length, address: address, until: until))
    }

    /// The end of a lifetime of so many seconds.
    private static func end(_ now: Instant, _ seconds: UInt32) -> Instant {
        seconds == .max ? .never : now.advanced(by: UInt64(seconds) * second)
    }
}
