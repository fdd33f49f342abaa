-- Tells how many replicas must have confirmed what was just written: all that the master has, and for
-- a while also those that have gone. It is noted at the master itself, for all who write to it: who
-- begins to write while one has gone could not know otherwise.
--
-- KEYS[1]  what is known of the replicas of this master
-- ARGV[1]  for how long one that has gone is missed, in milliseconds
-- ARGV[2]  after how many seconds without a report one counts as gone
--
-- Returns how many must have confirmed the write before this call, and how many are to be asked next.

local info = redis.call('INFO', 'replication')
-- A server that is promoted or restarted takes a new one, and has replicas of its own.
local master = string.match(info, 'master_replid:(%x+)')
local here = 0
for state, offset, lag in string.gmatch(info, '\nslave%d+:[^\r]-state=([%w_]+),offset=(%d+),lag=(%d+)') do
  -- One that has received its copy and still loads it has not reported an offset yet.
  if state == 'online' and tonumber(offset) > 0 and tonumber(lag) <= tonumber(ARGV[2]) then
    here = here + 1
  end
end

local noted = redis.call('HMGET', KEYS[1], 'master', 'replicas', 'fewer_since')
local before = noted[1] == master and tonumber(noted[2]) or 0
local after, fewer_since = here, ''
if here < before then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local since = tonumber(noted[3]) or now
  if now - since < tonumber(ARGV[1]) then
    after, fewer_since = before, string.format('%.0f', since)
  end
end
-- Written only where it changes: it would have to be replicated each time.
if noted[1] ~= master or before ~= after or noted[3] ~= fewer_since then
  redis.call('HSET', KEYS[1], 'master', master, 'replicas', after, 'fewer_since', fewer_since)
end
return { math.min(before, after), after }
