-- Trims a stream: what is old enough, and every consumer group has read and acknowledged. All
-- servers can do so at its old end; from Redis 8.2.1 on what lies behind an entry that somebody has
-- not acknowledged goes as well. Looking at the groups and trimming are one atomic step, so that a group that is
-- made, set back or read with in between loses nothing.
--
-- KEYS[1]  the stream
-- KEYS[2]  who looks after it; expires, so that another takes over from one that died
-- ARGV[1]  who calls
-- ARGV[2]  for how long the caller then looks after it, in milliseconds
-- ARGV[3]  how old an entry must be, in milliseconds
-- ARGV[4]  where to go on: '-', or what the call before returned
--
-- Returns nil if somebody else looks after the stream; else
--   how many entries it had, and how many groups it has (0 if it has no entries),
--   how many entries were trimmed,
--   where to go on: there may be more, call again; empty if that was all,
--   what the server's INFO says of memory; empty if it does not let us ask.

local keeper = redis.call('GET', KEYS[2])
if keeper and keeper ~= ARGV[1] then
  return false
end
-- A server out of memory refuses this, and is the one where trimming is needed most: several
-- callers at once do no harm.
redis.pcall('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])

-- Entry ids begin with this server's own time, so that is the clock to go by.
local function oldest_to_keep_for_its_age()
  local now = redis.call('TIME')
  local oldest = now[1] * 1000 + math.floor(now[2] / 1000) - ARGV[3]
  return string.format('%.0f-0', math.max(oldest, 0))
end

-- The first entry that a group has not read, or `bound` if that comes before it.
local function first_unread(group, bound)
  local unread = redis.call('XRANGE', KEYS[1], '(' .. group['last-delivered-id'], bound, 'COUNT', 1)
  return unread[1] and unread[1][1] or bound
end

-- Likewise the first that it has read and not acknowledged. After XGROUP SETID that may come later
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

-- Redis 8.2.0 may crash when asked for ACKED (redis/redis#14276); others do not know it. Redis 6.2
-- does not tell its version here, and Valkey tells one of Redis 7.
local KNOWS_ACKED = (redis.REDIS_VERSION_NUM or 0) >= 0x00080201
local AT_ONCE = 100

-- Deletes those of the next entries before `bound` that every group has acknowledged, and returns
-- how many, and where to go on. Not XTRIM … ACKED: its LIMIT counts only what goes, so that one call
-- may look at any number of entries that stay; with '~' it trims nothing in 8.2 and 8.4.
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

-- Redis serves nobody else meanwhile. Whole nodes of the stream go first, which is cheap, and Redis
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
  -- What is left lies in one node.
  return redis.call('XTRIM', KEYS[1], 'MINID', '=', first_open), ''
end

local length = redis.call('XLEN', KEYS[1])
local found = length > 0 and redis.call('XINFO', 'GROUPS', KEYS[1]) or {}
local trimmed, go_on_at = 0, ''
-- Without a group nobody has acknowledged anything, but Redis 8.6 takes ACKED to be no condition then.
if #found > 0 then
  local groups, unread = {}, oldest_to_keep_for_its_age()
  for at, group in ipairs(found) do
    groups[at] = named(group)
    unread = first_unread(groups[at], unread)
  end
  local open = unread
  for _, group in ipairs(groups) do
    open = first_pending(group, open)
  end
  trimmed, go_on_at = trim(open, unread)
end
local memory = redis.pcall('INFO', 'memory')
return { length, #found, trimmed, go_on_at, type(memory) == 'string' and memory or '' }
