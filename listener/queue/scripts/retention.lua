-- Trims a stream, and decides which entries go: those that are old enough and that every consumer group has
-- read and acknowledged. All servers can trim the old end; from Redis 8.2.1 on entries behind one that is
-- pending go as well. Reading the groups and trimming are one atomic step, so that a group that is created,
-- set back or read with in between loses nothing.
--
-- KEYS[1]  the stream
-- KEYS[2]  the id of the process that trims it; expires, so that another takes over from one that died
-- ARGV[1]  the caller's id
-- ARGV[2]  for how long the caller then trims it, in milliseconds
-- ARGV[3]  how old an entry must be, in milliseconds
-- ARGV[4]  where to continue: '-', or what the call before returned
--
-- Returns nil if another process trims the stream; else
--   how many entries it had, and how many groups it has (0 if it has no entries),
--   how many entries were trimmed,
--   where to continue: there may be more, call again; empty if that was all,
--   the memory section of the server's INFO; empty if the user lacks that right.

local leader = redis.call('GET', KEYS[2])
-- A key that was set while the server's clock was ahead lasts until that clock is reached again.
if leader and leader ~= ARGV[1] and redis.call('PTTL', KEYS[2]) <= tonumber(ARGV[2]) then
  return false
end
-- A server that is out of memory refuses this, and needs the trimming most: several callers at once do
-- no harm.
redis.pcall('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])

local LAST = '18446744073709551615-18446744073709551615'
local AT_ONCE = 100
local TIME = redis.call('TIME')
local NOW = TIME[1] * 1000 + math.floor(TIME[2] / 1000)
local OLDEST = NOW - ARGV[3]

local function time_of_id(entry)
  return tonumber(string.match(entry[1], '^%d+'))
end

-- The field `time` of a message (RFC 3339, UTC) in milliseconds since 1970; nil if it has none.
local function arrival_of(entry)
  for at = 1, #entry[2], 2 do
    if entry[2][at] == 'time' then
      local y, m, d, hour, min, s =
        string.match(entry[2][at + 1], '^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d)')
      if not y then
        return nil
      end
      -- January and February count as months of the year before, so that a leap day comes last.
      y, m = tonumber(y), tonumber(m)
      if m <= 2 then
        y, m = y - 1, m + 12
      end
      local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400)
        + math.floor((153 * m - 457) / 5) + d - 719469
      return ((days * 24 + hour) * 60 + min) * 60000 + s * 1000
    end
  end
end

-- When an entry was written, by this server's clock, from which ids are made. An id may be wrong if that
-- clock was wrong once: no entry is of the future, and none was written before it arrived. nil: unknown.
local function written(entry)
  local id, arrival = time_of_id(entry), arrival_of(entry)
  if id > NOW then
    return arrival and arrival <= NOW and arrival or nil
  end
  return arrival and arrival <= NOW and math.max(id, arrival) or id
end

-- Entry by entry, from where to continue. An entry of unknown age goes with the one behind it, and so does
-- the entry of a message that waited long in the spool.
local function first_young()
  local entries = redis.call('XRANGE', KEYS[1], ARGV[4], '+', 'COUNT', AT_ONCE + 1)
  local bound = '0-0'
  for at = 1, math.min(#entries, AT_ONCE) do
    local time = written(entries[at])
    if time and time >= OLDEST then
      return bound, false
    end
    if time then
      bound = entries[at + 1] and entries[at + 1][1] or LAST
    end
  end
  return bound, #entries > AT_ONCE
end

-- The first entry that is too young to go, and whether there may be more than were read. Ids show it at
-- once, unless one of them is wrong.
local function first_too_young()
  local by_id = string.format('%.0f-0', math.max(OLDEST, 0))
  -- Redis walks through the whole stream for an XREVRANGE that ends before its first entry.
  local has_old = OLDEST > 0 and redis.call('XRANGE', KEYS[1], '-', '(' .. by_id, 'COUNT', 1)[1]
  local last_old = has_old and redis.call('XREVRANGE', KEYS[1], '(' .. by_id, '-', 'COUNT', 1)[1]
  if last_old and written(last_old) < OLDEST then
    return by_id, false
  end
  local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
  if not last_old and time_of_id(newest) <= NOW then
    return by_id, false
  end
  return first_young()
end

-- The first entry that a group has not read, or `bound` if that comes first.
local function first_unread(group, bound)
  if group['last-delivered-id'] == LAST then
    -- Redis refuses a range that begins behind it.
    return bound
  end
  local unread = redis.call('XRANGE', KEYS[1], '(' .. group['last-delivered-id'], bound, 'COUNT', 1)
  return unread[1] and unread[1][1] or bound
end

-- The first entry that it has read and not acknowledged, or `bound`. After XGROUP SETID it may come later
-- than an unread one.
local function first_pending(group, bound)
  local pending = redis.call('XPENDING', KEYS[1], group.name, '-', bound, 1)
  return pending[1] and pending[1][1] or bound
end

local function named(pairs_in_a_row)
  local fields = {}
  for at = 1, #pairs_in_a_row, 2 do
    fields[pairs_in_a_row[at]] = pairs_in_a_row[at + 1]
  end
  return fields
end

-- Redis 8.2.0 may crash on ACKED (redis/redis#14276), and earlier ones do not know it. Redis 6.2 does not
-- give its version here, and Valkey gives one of Redis 7.
local KNOWS_ACKED = (redis.REDIS_VERSION_NUM or 0) >= 0x00080201

-- Deletes those of the next entries before `bound` that every group has acknowledged, and returns
-- how many, and where to continue. Not XTRIM … ACKED: its LIMIT counts only entries that go, so that one
-- call may read any number of entries that stay; with '~' it trims nothing in 8.2 and 8.4.
local function sweep(bound)
  local entries = redis.call('XRANGE', KEYS[1], ARGV[4], bound, 'COUNT', AT_ONCE)
  local ids = {}
  for _, entry in ipairs(entries) do
    if entry[1] ~= bound then
      ids[#ids + 1] = entry[1]
    end
  end
  if #ids == 0 then
    return 0, ''
  end
  local deleted = 0
  for _, answer in ipairs(redis.call('XDELEX', KEYS[1], 'ACKED', 'IDS', #ids, unpack(ids))) do
    deleted = deleted + (answer == 1 and 1 or 0)
  end
  return deleted, #ids == AT_ONCE and '(' .. ids[#ids] or ''
end

-- Redis serves no other client meanwhile. Whole nodes of the stream go first, which is cheap, and Redis
-- itself bounds how many at once (LIMIT's default).
local function trim(first_open, first_unread_by_any)
  local trimmed = redis.call('XTRIM', KEYS[1], 'MINID', '~', first_open)
  if trimmed > 0 then
    return trimmed, ARGV[4]
  end
  if KNOWS_ACKED then
    -- Never XTRIM with '=' here: in a node with deleted entries it may leave none alive, and then
    -- Redis refuses to load its own file (redis/redis#15808).
    return sweep(first_unread_by_any)
  end
  -- The rest is in one node.
  return redis.call('XTRIM', KEYS[1], 'MINID', '=', first_open), ''
end

local length = redis.call('XLEN', KEYS[1])
local rows = length > 0 and redis.call('XINFO', 'GROUPS', KEYS[1]) or {}
local trimmed, continue_at = 0, ''
-- Without a group no entry is acknowledged, but Redis 8.6 then treats ACKED as no condition.
if #rows > 0 then
  local groups = {}
  local unread, is_cut_short = first_too_young()
  for at, group in ipairs(rows) do
    groups[at] = named(group)
    unread = first_unread(groups[at], unread)
  end
  local open = unread
  for _, group in ipairs(groups) do
    open = first_pending(group, open)
  end
  trimmed, continue_at = trim(open, unread)
  if continue_at == '' and is_cut_short and trimmed > 0 then
    continue_at = '-'
  end
end
local memory = redis.pcall('INFO', 'memory')
return { length, #rows, trimmed, continue_at, type(memory) == 'string' and memory or '' }
