-- Adds entries to a stream, and decides what is a duplicate: an entry whose fingerprint was added within the
-- window. De-duplication and XADD are one atomic step, so a resent or concurrent duplicate adds nothing.
--
-- KEYS[1]  the stream
-- KEYS[2]  a hash that counts what is added
-- KEYS[3…] for each entry: the key of its fingerprint, which holds the entry id. More keys than entries
--          change nothing: that is how the service checks whether it may call this.
-- ARGV[1]  the window, in seconds
-- ARGV[2]  the greatest length of the stream, kept approximately; 0: unbounded
-- ARGV[3]  how long the counts are kept, in seconds
-- ARGV[4…] for each entry: its field in the hash of counts; how many arguments follow; then field,
--          value, field, value, …
--
-- Returns for each entry, flat: its entry id, and 1 if it was there already, else 0.

-- All fingerprints are read before the first entry is added: if one cannot be read, none is added.
local known = {}
for n = 3, #KEYS do
  known[KEYS[n]] = redis.call('GET', KEYS[n])
end

local replies = {}
local counts = {}
local at = 4
for n = 3, #KEYS do
  local counter = ARGV[at]
  if not counter then
    break
  end
  local size = tonumber(ARGV[at + 1])
  at = at + 1
  local id = known[KEYS[n]]
  if id then
    -- Written again unchanged, so that the wait behind this script (for an fsync, or replicas) covers the
    -- first write of the entry as well, whichever process did it.
    redis.call('SET', KEYS[n], id, 'KEEPTTL')
    replies[#replies + 1] = id
    replies[#replies + 1] = 1
  else
    if ARGV[2] == '0' then
      id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, at + 1, at + size))
    else
      id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, at + 1, at + size))
    end
    local remembered = redis.pcall('SET', KEYS[n], id, 'EX', ARGV[1])
    if remembered.err then
      -- An entry without its fingerprint would be added again by the next try.
      redis.call('XDEL', KEYS[1], id)
      return remembered
    end
    known[KEYS[n]] = id
    counts[counter] = (counts[counter] or 0) + 1
    replies[#replies + 1] = id
    replies[#replies + 1] = 0
  end
  at = at + 1 + size
end
-- The entries are there, so a count that fails must not fail the call.
for counter, count in pairs(counts) do
  redis.pcall('HINCRBY', KEYS[2], counter, count)
  redis.pcall('EXPIRE', KEYS[2], ARGV[3])
end
return replies
