-- Reads what stands behind an entry of a stream, up to a number of bytes, and how the stream stands at that
-- moment: one atomic step, so that nothing is trimmed between the two. Always reads one entry if there is one.
--
-- KEYS[1]  the stream
-- ARGV[1]  the id of the entry
-- ARGV[2]  the maximum of entries
-- ARGV[3]  the bytes of fields and values, in all entries together, after which no further entry is read
--
-- Returns nil if there is no such stream; else
--   its length; its last generated id; the ids of its first and its last entry, or empty,
--   how many entries it has had, and the greatest id that was deleted: empty before Redis 7, which does not know,
--   for each entry: its id, and its fields and values in turn.

local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
if info.err then
  if string.find(info.err, 'no such key', 1, true) then
    return false
  end
  return info
end
local of = {}
for n = 1, #info, 2 do
  of[info[n]] = info[n + 1]
end

local entries, read, start = {}, 0, '(' .. ARGV[1]
while #entries < tonumber(ARGV[2]) and read < tonumber(ARGV[3]) do
  local entry = redis.call('XRANGE', KEYS[1], start, '+', 'COUNT', 1)[1]
  if not entry then
    break
  end
  for n = 1, #entry[2] do
    read = read + #entry[2][n]
  end
  entries[#entries + 1] = entry
  start = '(' .. entry[1]
  if entry[1] == '18446744073709551615-18446744073709551615' then
    -- Redis refuses a range that begins after it.
    break
  end
end
local first, last = of['first-entry'], of['last-entry']
return {
  of['length'],
  of['last-generated-id'],
  first and first[1] or '',
  last and last[1] or '',
  of['entries-added'] or '',
  of['max-deleted-entry-id'] or '',
  entries,
}
