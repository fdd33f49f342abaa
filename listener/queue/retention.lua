-- Trims the old end of a stream: what is old enough, and every consumer group has read and
-- acknowledged. Looking at the groups and trimming are one atomic step, so that a group that is
-- made, set back or read with in between loses nothing.
--
-- KEYS[1]  the stream
-- KEYS[2]  who looks after it; expires, so that another takes over from one that died
-- ARGV[1]  who calls
-- ARGV[2]  for how long the caller then looks after it, in milliseconds
-- ARGV[3]  how old an entry must be, in milliseconds
--
-- Returns nil if somebody else looks after the stream; else
--   how many entries it had, and how many groups it has (0 if it has no entries),
--   how many entries were trimmed: not 0 means that there may be more, call again,
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

-- The first of a group's unread and unacknowledged entries, or `bound` if that comes before them.
-- Both are looked for: after XGROUP SETID the unread ones may begin before the unacknowledged.
local function first_open(group, bound)
  local unread = redis.call('XRANGE', KEYS[1], '(' .. group['last-delivered-id'], bound, 'COUNT', 1)
  bound = unread[1] and unread[1][1] or bound
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

-- Redis serves nobody else meanwhile. Whole nodes of the stream go first, which is cheap, and Redis
-- itself bounds how many at once (LIMIT's default); what is then left to trim lies in one node.
local function trim(bound)
  local trimmed = redis.call('XTRIM', KEYS[1], 'MINID', '~', bound)
  if trimmed == 0 then
    trimmed = redis.call('XTRIM', KEYS[1], 'MINID', '=', bound)
  end
  return trimmed
end

local length = redis.call('XLEN', KEYS[1])
local groups = length > 0 and redis.call('XINFO', 'GROUPS', KEYS[1]) or {}
local trimmed = 0
if #groups > 0 then
  local bound = oldest_to_keep_for_its_age()
  for _, group in ipairs(groups) do
    bound = first_open(named(group), bound)
  end
  trimmed = trim(bound)
end
local memory = redis.pcall('INFO', 'memory')
return { length, #groups, trimmed, type(memory) == 'string' and memory or '' }
