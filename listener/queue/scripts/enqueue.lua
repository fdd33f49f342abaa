-- Adds entries to a stream, and decides what is a duplicate: an entry whose fingerprint was added within the
-- window. De-duplication and XADD are one atomic step, so a resent or concurrent duplicate adds nothing.
--
-- Fingerprints are fields of hashes (docs/adr/0022). The value says when it was added, in ms, and the entry id:
-- `1795397513221` and `0` for 1795397513221-0, as a number, or the time, a dash and the id. The field '' is the time
-- at which the hash expires.
--
-- KEYS[1]  the stream
-- KEYS[2]  a hash that counts what is added
-- KEYS[3…] for each entry: the hash of its fingerprint; with string keys, then its string key. More keys than
--          entries change nothing: that is how the service checks whether it may call this.
-- ARGV[1]  the window, in seconds
-- ARGV[2]  the greatest length of the stream, kept approximately; 0: unbounded
-- ARGV[3]  how long the counts are kept, in seconds
-- ARGV[4]  the caller's time, in ms: for a user who may not ask for Redis's
-- ARGV[5]  keys of each entry. 2: each fingerprint is a string key as well, as release 0.1 has it
-- ARGV[6…] for each entry: its field in the hash of counts; its fingerprint; how many arguments follow; then
--          field, value, field, value, … One argument is the id of an entry that is in the stream already: its
--          fingerprint is restored, as of now, unless it is known.
--
-- Returns for each entry, flat: its entry id, and 1 if it was there already, else 0.

local FIRST_KEY, FIRST_ENTRY = 3, 6
-- Lua passes at most some 8,000 values to a function.
local MAX_FIELDS = 1000
local call, sub, format = redis.call, string.sub, string.format

local window, keys_each = ARGV[1] * 1000, tonumber(ARGV[5])
local time = redis.pcall('TIME')
local now = time.err and tonumber(ARGV[4]) or time[1] * 1000 + math.floor(time[2] / 1000)

local function is_over(value)
  return now - sub(value, 1, 13) > window
end

-- Removes the fingerprints of a hash that are over.
local function purge(key)
  local flat, over = call('HGETALL', key), {}
  for n = 1, #flat, 2 do
    if flat[n] ~= '' and is_over(flat[n + 1]) then
      over[#over + 1] = flat[n]
    end
  end
  for n = 1, #over, MAX_FIELDS do
    call('HDEL', key, unpack(over, n, math.min(n + MAX_FIELDS - 1, #over)))
  end
end

-- Has a hash last for at least a window from now. All hashes come up at about the same time, and a purge of many would
-- hold Redis up: only one in each call is purged and lasts for two windows, and the others come up again soon. Returns
-- the error if the hash cannot be made to last.
local has_purged = false
local function extend(key)
  local lasts = window + math.ceil(window / 16)
  if not has_purged then
    has_purged, lasts = true, 2 * window
    purge(key)
  end
  call('HSET', key, '', format('%d', now + lasts))
  local reply = redis.pcall('PEXPIRE', key, format('%d', lasts))
  if type(reply) == 'table' then
    -- Otherwise the field would promise more than the key holds.
    call('HDEL', key, '')
    return reply
  end
end

-- All fingerprints are read, and all hashes last long enough, before the first entry is added: if that fails, none is
-- added. By fingerprint: the value if it is known, and the entry id if its string key alone is.
local values, strings = {}, {}
local key, at = FIRST_KEY, FIRST_ENTRY
while ARGV[at] do
  local fingerprint = ARGV[at + 1]
  local found = call('HMGET', KEYS[key], '', fingerprint)
  local lasts, value = found[1] and found[1] - now, found[2]
  -- It lasts longer than three windows if the window was longer, or Redis's clock was set back.
  if not lasts or lasts < window or lasts > 3 * window then
    local problem = extend(KEYS[key])
    if problem then
      return problem
    end
  end
  if value and not is_over(value) then
    values[fingerprint] = value
  elseif keys_each == 2 then
    strings[fingerprint] = call('GET', KEYS[key + 1])
  end
  key, at = key + keys_each, at + 3 + ARGV[at + 2]
end

local replies, counts = {}, {}
key, at = FIRST_KEY, FIRST_ENTRY
while ARGV[at] do
  local fingerprint, size = ARGV[at + 1], tonumber(ARGV[at + 2])
  local value, id, known = values[fingerprint], strings[fingerprint], 1
  -- What is known is written again unchanged, so that the wait behind this script (for an fsync, or replicas)
  -- covers the first write of the entry as well, whichever process did it.
  if value then
    local since, rest = sub(value, 1, 13), sub(value, 14)
    id = sub(rest, 1, 1) == '-' and sub(rest, 2) or since .. '-' .. rest
    call('HSET', KEYS[key], fingerprint, value)
  elseif id then
    call('SET', KEYS[key + 1], id, 'KEEPTTL')
  else
    if size == 1 then
      id = ARGV[at + 3]
    elseif ARGV[2] == '0' then
      id, known = call('XADD', KEYS[1], '*', unpack(ARGV, at + 3, at + size + 2)), 0
    else
      id, known = call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, at + 3, at + size + 2)), 0
    end
    local since = sub(id, 1, 13)
    -- It has another time than now if it is restored, if Redis's clock was set back, or if the caller's time counts.
    if known == 0 and sub(id, 14, 14) == '-' and math.abs(since - now) < 1000 then
      value = since .. sub(id, 15)
    else
      value = format('%013d-%s', now, id)
    end
    local reply = redis.pcall('HSET', KEYS[key], fingerprint, value)
    if keys_each == 2 and type(reply) == 'number' then
      reply = redis.pcall('SET', KEYS[key + 1], id, 'PX', window)
    end
    if type(reply) == 'table' and reply.err then
      -- An entry without its fingerprint would be added again by the next try, and a fingerprint without its
      -- entry would have the next try add nothing.
      redis.pcall('HDEL', KEYS[key], fingerprint)
      if known == 0 then
        call('XDEL', KEYS[1], id)
      end
      return reply
    end
    values[fingerprint] = value
    if known == 0 then
      counts[ARGV[at]] = (counts[ARGV[at]] or 0) + 1
    end
  end
  replies[#replies + 1] = id
  replies[#replies + 1] = known
  key, at = key + keys_each, at + 3 + size
end
-- The entries are there, so a count that fails must not fail the call.
for counter, count in pairs(counts) do
  redis.pcall('HINCRBY', KEYS[2], counter, count)
  redis.pcall('EXPIRE', KEYS[2], ARGV[3])
end
return replies
