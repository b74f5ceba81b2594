// Dates as HTTP writes them (RFC 9110 §5.6.7): IMF-fixdate out, all three formats in.

/// A point in time to the second, as in Date, Last-Modified and If-Modified-Since.
public struct HTTPDate: Equatable, Comparable, Sendable {
    /// Seconds since 1970-01-01 00:00:00 UTC.
    public var unixSeconds: Int64

    public init(unixSeconds: Int64) { self.unixSeconds = unixSeconds }

    public static func < (left: HTTPDate, right: HTTPDate) -> Bool {
        left.unixSeconds < right.unixSeconds
    }

    /// Octets of an IMF-fixdate.
    public static var length: Int { 29 }

    private static var days: StaticString { "SunMonTueWedThuFriSat" }
    private static var months: StaticString { "JanFebMarAprMayJunJulAugSepOctNovDec" }

    /// Appends `Sun, 06 Nov 1994 08:49:37 GMT`. Times outside the years 1970 to 9999 are clamped.
    public func append(to buffer: inout OctetBuffer) {
        let seconds = max(0, min(unixSeconds, 253_402_300_799))
        let day = seconds / 86_400
        let second = Int(seconds % 86_400)
        let (year, month, dayOfMonth) = Self.civil(fromDays: day)
        let weekday = Int((day &+ 4) % 7)
        buffer.append(Self.days.octets.extracting(weekday &* 3..<weekday &* 3 &+ 3))
        buffer.append(", ")
        Self.append(dayOfMonth, to: &buffer)
        buffer.append(octet: ASCII.space)
        buffer.append(Self.months.octets.extracting(month &* 3 &- 3..<month &* 3))
        buffer.append(octet: ASCII.space)
        Self.append(year / 100, to: &buffer)
        Self.append(year % 100, to: &buffer)
        buffer.append(octet: ASCII.space)
        Self.append(second / 3600, to: &buffer)
        buffer.append(octet: ASCII.colon)
        Self.append(second / 60 % 60, to: &buffer)
        buffer.append(octet: ASCII.colon)
        Self.append(second % 60, to: &buffer)
        buffer.append(" GMT")
    }

    private static func append(_ twoDigits: Int, to buffer: inout OctetBuffer) {
        buffer.append(octet: 0x30 &+ UInt8(truncatingIfNeeded: twoDigits / 10))
        buffer.append(octet: 0x30 &+ UInt8(truncatingIfNeeded: twoDigits % 10))
    }

    /// The Gregorian date of a day since 1970-01-01, not negative. Years are counted from March,
    /// so that the leap day comes last and months follow a fixed pattern of 153 days in five.
    static func civil(fromDays days: Int64) -> (year: Int, month: Int, day: Int) {
        let sinceEra = Int(days &+ 719_468)
        let era = sinceEra / 146_097
        let dayOfEra = sinceEra % 146_097
        let yearOfEra =
            (dayOfEra &- dayOfEra / 1460 &+ dayOfEra / 36_524 &- dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra &- (365 &* yearOfEra &+ yearOfEra / 4 &- yearOfEra / 100)
        let shifted = (5 &* dayOfYear &+ 2) / 153
        let day = dayOfYear &- (153 &* shifted &+ 2) / 5 &+ 1
        let month = shifted < 10 ? shifted &+ 3 : shifted &- 9
        return (yearOfEra &+ era &* 400 &+ (month <= 2 ? 1 : 0), month, day)
    }

    /// Days since 1970-01-01 of a Gregorian date from the year 1600 on.
    static func days(year: Int, month: Int, day: Int) -> Int64 {
        let shiftedYear = month <= 2 ? year &- 1 : year
        let era = shiftedYear / 400
        let yearOfEra = shiftedYear % 400
        let dayOfYear = (153 &* (month > 2 ? month &- 3 : month &+ 9) &+ 2) / 5 &+ day &- 1
        let dayOfEra = yearOfEra &* 365 &+ yearOfEra / 4 &- yearOfEra / 100 &+ dayOfYear
        return Int64(era &* 146_097 &+ dayOfEra &- 719_468)
    }

    /// Reads a date in any of the three formats; nil if it is none of them.
    ///
    /// - Parameter now: tells the century of the two-digit years of RFC 850: those more than 50
    ///   years ahead of it are past.
    public init?(_ text: RawSpan, now: HTTPDate = HTTPDate(unixSeconds: 0)) {
        var reader = Reader(position: 0)
        var comma = 0
        while comma < text.byteCount, ASCII.isLetter(text.octet(comma)) { comma &+= 1 }
        reader.position = comma
        let year: Int
        let month: Int
        let day: Int
        let seconds: Int
        if text.octet(comma) == 0x2C {
            // "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"
            guard comma >= 3, reader.skip(", ", in: text), let first = reader.digits(2, in: text)
            else { return nil }
            day = first
            let separator = text.octet(reader.position)
            guard separator == ASCII.space || separator == 0x2D else { return nil }
            reader.position &+= 1
            guard let named = reader.month(in: text), text.octet(reader.position) == separator
            else { return nil }
            month = named
            reader.position &+= 1
            if separator == ASCII.space {
                guard comma == 3, let full = reader.digits(4, in: text) else { return nil }
                year = full
            } else {
                guard let short = reader.digits(2, in: text) else { return nil }
                let (current, _, _) = Self.civil(fromDays: max(0, now.unixSeconds / 86_400))
                let sameCentury = current / 100 &* 100 &+ short
                year = sameCentury > current &+ 50 ? sameCentury &- 100 : sameCentury
            }
            guard reader.skip(" ", in: text), let time = reader.time(in: text),
                reader.skip(" GMT", in: text)
            else { return nil }
            seconds = time
        } else {
            // "Sun Nov  6 08:49:37 1994"
            guard comma == 3, reader.skip(" ", in: text), let named = reader.month(in: text),
                reader.skip(" ", in: text)
            else { return nil }
            month = named
            if text.octet(reader.position) == ASCII.space {
                reader.position &+= 1
                guard let digit = reader.digits(1, in: text) else { return nil }
                day = digit
            } else {
                guard let digits = reader.digits(2, in: text) else { return nil }
                day = digits
            }
            guard reader.skip(" ", in: text), let time = reader.time(in: text),
                reader.skip(" ", in: text), let full = reader.digits(4, in: text)
            else { return nil }
            seconds = time
            year = full
        }
        guard reader.position == text.byteCount, year >= 1600, day >= 1 else { return nil }
        let date = Self.days(year: year, month: month, day: day)
        // A day that the month does not have comes back as another date.
        guard date < 0 || Self.civil(fromDays: date) == (year, month, day) else { return nil }
        guard day <= 31 else { return nil }
        unixSeconds = date &* 86_400 &+ Int64(seconds)
    }

    /// A place in a date's text.
    private struct Reader {
        var position: Int

        mutating func skip(_ literal: StaticString, in text: RawSpan) -> Bool {
            let end = position &+ literal.utf8CodeUnitCount
            guard end <= text.byteCount, text.extracting(position..<end).equals(literal) else {
                return false
            }
            position = end
            return true
        }

        mutating func digits(_ count: Int, in text: RawSpan) -> Int? {
            var value = 0
            for _ in 0..<count {
                guard ASCII.isDigit(text.octet(position)) else { return nil }
                value = value &* 10 &+ Int(text.octet(position) &- 0x30)
                position &+= 1
            }
            return value
        }

        mutating func month(in text: RawSpan) -> Int? {
            guard position &+ 3 <= text.byteCount else { return nil }
            let name = text.extracting(position..<position &+ 3)
            for month in 0..<12
            where name.equals(HTTPDate.months.octets.extracting(month &* 3..<month &* 3 &+ 3)) {
                position &+= 3
                return month &+ 1
            }
            return nil
        }

        /// `08:49:37` in seconds; a leap second counts as the one before.
        mutating func time(in text: RawSpan) -> Int? {
            guard let hour = digits(2, in: text), skip(":", in: text),
                let minute = digits(2, in: text), skip(":", in: text),
                let second = digits(2, in: text), hour < 24, minute < 60, second <= 60
            else { return nil }
            return hour &* 3600 &+ minute &* 60 &+ min(second, 59)
        }
    }
}
