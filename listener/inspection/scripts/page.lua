-- Reads a range of a stream up to a number of bytes. XRANGE alone is bounded by a number of entries, and
-- entries of megabytes would fill the reader's memory. Always reads one entry if there is one.
--
-- KEYS[1]  the stream
-- ARGV[1]  XRANGE or XREVRANGE
-- ARGV[2]  where to begin, as that command takes it
-- ARGV[3]  where to end
-- ARGV[4]  the maximum of entries
-- ARGV[5]  the bytes of fields and values, in all entries together, after which no further entry is read
-- ARGV[6]  the maximum of bytes of a value that are returned; 0: all
-- ARGV[7…] the fields that are returned; none: all
--
-- Returns the number of bytes that were read, and for each entry: its id; its fields and values in turn; and the
-- fields and whole sizes, in turn, of the values that were cut.

local max_entries, max_bytes, max_value_bytes = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local wanted = {}
for n = 7, #ARGV do
  wanted[ARGV[n]] = true
end

local start = ARGV[2]
local entries, read = {}, 0
local first
if ARGV[1] == 'XREVRANGE' then
  -- Redis walks through the whole stream for a range that ends before its first entry, and serves nobody meanwhile.
  first = redis.pcall('XRANGE', KEYS[1], '-', start, 'COUNT', 1)
  if first.err then
    return first
  end
  if not first[1] then
    return {read, entries}
  end
end
while #entries < max_entries and read < max_bytes do
  local reply = redis.pcall(ARGV[1], KEYS[1], start, ARGV[3], 'COUNT', 1)
  if reply.err then
    return reply
  end
  local entry = reply[1]
  if not entry then
    break
  end
  local fields, cut = {}, {}
  for n = 1, #entry[2], 2 do
    local name, value = entry[2][n], entry[2][n + 1]
    read = read + #name + #value
    if #ARGV < 7 or wanted[name] then
      fields[#fields + 1] = name
      if max_value_bytes > 0 and #value > max_value_bytes then
        cut[#cut + 1] = name
        cut[#cut + 1] = #value
        value = string.sub(value, 1, max_value_bytes)
      end
      fields[#fields + 1] = value
    end
  end
  entries[#entries + 1] = {entry[1], fields, cut}
  if first and entry[1] == first[1][1] then
    break
  end
  if entry[1] == '18446744073709551615-18446744073709551615' and not first then
    -- Redis refuses a range that begins after it.
    break
  end
  start = '(' .. entry[1]
end
return {read, entries}
