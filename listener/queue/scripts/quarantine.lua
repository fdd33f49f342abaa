-- Adds refused bodies to the quarantine, each unless it is there already, and drops the oldest beyond its bounds.
-- Takes the same arguments as enqueue.lua. The fingerprints are in one hash, which is emptied when it is full:
-- then a body may be stored twice.
--
-- KEYS[1]  the stream
-- KEYS[2]  a hash that counts what is added
-- KEYS[3…] for each entry: the hash of fingerprints, always the same
-- ARGV[1]  how long fingerprints are remembered after the last one, in seconds
-- ARGV[2]  the greatest length of the stream
-- ARGV[3]  how long the counts are kept, in seconds
-- ARGV[4], ARGV[5] are not used
-- ARGV[6…] for each entry: its field in the hash of counts; nothing; how many arguments follow; then field, value,
--          field, value, …: reason, data, time, and of a body that was cut its size and its digest
--
-- Returns for each entry, flat: its entry id, and 1 if it was there already, else 0.

-- The part of Redis's memory that the stream may take: dozens of bodies of the largest default size.
local max_bytes = 256 * 1024 * 1024
-- Redis serves no other client meanwhile; the rest is dropped by the next call.
local max_dropped = 1000

local max_length = tonumber(ARGV[2])
local replies = {}
local at = 6
for n = 3, #KEYS do
  local counter = ARGV[at]
  if not counter then
    break
  end
  local size = tonumber(ARGV[at + 2])
  at = at + 2
  local digest = size > 6 and ARGV[at + 10] or ''
  local fingerprint = redis.sha1hex(table.concat({ARGV[at + 2], digest, ARGV[at + 4]}, '\0'))
  -- For a user without this right a body is stored more than once.
  local known = redis.pcall('HGET', KEYS[n], fingerprint)
  if type(known) == 'string' and #redis.call('XRANGE', KEYS[1], known, known) > 0 then
    replies[#replies + 1] = known
    replies[#replies + 1] = 1
  else
    local id = redis.call('XADD', KEYS[1], 'MAXLEN', max_length, '*', unpack(ARGV, at + 1, at + size))
    local remembered = redis.pcall('HLEN', KEYS[n])
    if type(remembered) == 'number' and remembered >= max_length then
      redis.pcall('DEL', KEYS[n])
    end
    redis.pcall('HSET', KEYS[n], fingerprint, id)
    redis.pcall('EXPIRE', KEYS[n], ARGV[1])
    redis.pcall('HINCRBY', KEYS[2], counter, 1)
    replies[#replies + 1] = id
    replies[#replies + 1] = 0
  end
  at = at + 1 + size
end
redis.pcall('EXPIRE', KEYS[2], ARGV[3])

local used = redis.pcall('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 0)
local left = type(used) == 'number' and redis.call('XLEN', KEYS[1]) or 0
while left > 1 and used > max_bytes and max_dropped > 0 do
  local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
  for _, part in ipairs(oldest[2]) do
    used = used - #part
  end
  redis.call('XDEL', KEYS[1], oldest[1])
  left, max_dropped = left - 1, max_dropped - 1
end
return replies
