-- A little of everything: closures, coroutines, metatables, strings, numbers, files, errors, garbage.

local arguments = { ... }
print("arguments", #arguments, table.concat(arguments, ", "))

local function fibonacci(n) return n < 2 and n or fibonacci(n - 1) + fibonacci(n - 2) end
print("fibonacci", fibonacci(22))

-- Primes, by a coroutine.
local function primes(limit)
  return coroutine.wrap(function()
    local sieve = {}
    for i = 2, limit do
      if not sieve[i] then
        coroutine.yield(i)
        for j = i * i, limit, i do sieve[j] = true end
      end
    end
  end)
end
local count, last = 0, 0
for prime in primes(50000) do count, last = count + 1, prime end
print("primes", count, last)

-- Complex numbers.
local Complex = {}
Complex.__index = Complex
Complex.__add = function(a, b) return setmetatable({ a[1] + b[1], a[2] + b[2] }, Complex) end
Complex.__mul = function(a, b)
  return setmetatable({ a[1] * b[1] - a[2] * b[2], a[1] * b[2] + a[2] * b[1] }, Complex)
end
Complex.__tostring = function(a) return string.format("%g%+gi", a[1], a[2]) end
local z = setmetatable({ 1, 2 }, Complex)
print("complex", z * z + z)

-- Text.
local words = {}
for word in ("the quick brown fox jumps over the lazy dog"):gmatch("%a+") do
  words[#words + 1] = word:gsub("^%l", string.upper)
end
table.sort(words)
print(table.concat(words, " "), ("x"):rep(5, "-"), ("%5.2f|%-6s|%x"):format(math.pi, "ab", 255))
print(string.pack("<I4z", 77, "end"):byte(1, -1))
print(utf8.len("grüße"), utf8.char(228, 8364), #"grüße")
print(7 // 2, -7 // 2, 7 % -3, 7.5 // 2, 1 << 62, 3 | 8, 2 ^ 0.5, 10 / 2, math.maxinteger + 1 == math.mininteger)

-- Files.
local name = os.tmpname()
local file = assert(io.open(name, "w"))
for i = 1, 1000 do file:write(i, "\n") end
print("at", file:seek("cur"), file:seek("set", 10))
file:write("changed\n")
file:close()
local sum, lines = 0, 0
for line in io.lines(name) do
  sum, lines = sum + (tonumber(line) or 0), lines + 1
end
print("lines", lines, sum)
print(os.rename(name, name .. ".new"), os.remove(name .. ".new"))
print(select(2, io.open("/nowhere/at/all")))
print(os.getenv("SWIFTLET_NOT_SET"), type(os.time()), os.time({ year = 2024, month = 2, day = 29, hour = 12, isdst = false }) > 0)
print(os.date("!%Y-%m-%d %H:%M:%S", 86400))

-- Errors.
print(pcall(error, { code = 5 }) == false, select(2, pcall(function() local t = nil; return t.x end)) ~= nil)
print(select(2, pcall(error, "with a message", 0)))
print(xpcall(function() error("inner", 0) end, function(message) return "handled " .. message end))

-- Garbage, more than the machine keeps.
local kept = setmetatable({}, { __mode = "v" })
for i = 1, 200000 do kept[i % 100] = { i, tostring(i) } end
collectgarbage()
local left = 0
for _ in pairs(kept) do left = left + 1 end
print("garbage", left, collectgarbage("count") < 20000)

return 9
