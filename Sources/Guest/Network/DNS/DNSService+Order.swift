// The order in which hosts of a service are tried (RFC 2782, "Weight").

extension DNSService {
    /// The services by priority, and within one priority by chance: each as often first as its
    /// weight says.
    ///
    /// - Parameter random: gives a number from 0 to its argument.
    public static func ordered(
        _ services: [DNSService], random: (UInt32) -> UInt32
    ) -> [DNSService] {
        var left = services
        var ordered: [DNSService] = []
        while !left.isEmpty {
            var priority = left[0].priority
            for service in left { priority = min(priority, service.priority) }
            var total: UInt32 = 0
            for service in left where service.priority == priority {
                total += UInt32(service.weight)
            }
            // Those without weight get the chance of the number zero, and nobody before them.
            let number = random(total)
            var sum: UInt32 = 0
            var chosen = 0
            for isWeighted in [false, true] {
                var isFound = false
                for index in left.indices
                where left[index].priority == priority && (left[index].weight > 0) == isWeighted {
                    sum += UInt32(left[index].weight)
                    if sum >= number {
                        chosen = index
                        isFound = true
                        break
                    }
                }
                if isFound { break }
            }
            ordered.append(left.remove(at: chosen))
        }
        return ordered
    }
}
