-- Decides how many replicas must confirm a write: all that the master has, and for a while also those that
-- disconnected. The number is stored at the master itself, for all writers: one that begins to write while
-- a replica is disconnected could not know of it otherwise.
--
-- KEYS[1]  the stored number of this master's replicas
-- ARGV[1]  how long a replica that disconnected still counts, in milliseconds
-- ARGV[2]  after how many seconds without a report a replica counts as disconnected
--
-- Returns how many must have confirmed the write before this call, and how many the next write waits for.

local info = redis.call('INFO', 'replication')
-- A server that is promoted or restarted takes a new id, and has replicas of its own.
local master = string.match(info, 'master_replid:(%x+)')
local connected = 0
for state, offset, lag in string.gmatch(info, '\nslave%d+:[^\r]-state=([%w_]+),offset=(%d+),lag=(%d+)') do
  -- A replica that has received its copy and still loads it has not reported an offset yet.
  if state == 'online' and tonumber(offset) > 0 and tonumber(lag) <= tonumber(ARGV[2]) then
    connected = connected + 1
  end
end

local stored = redis.call('HMGET', KEYS[1], 'master', 'replicas', 'fewer_since')
local before = stored[1] == master and tonumber(stored[2]) or 0
local after, fewer_since = connected, ''
if connected < before then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local since = tonumber(stored[3]) or now
  if now - since < tonumber(ARGV[1]) then
    after, fewer_since = before, string.format('%.0f', since)
  end
end
-- Written only when it changes, because each write is replicated.
if stored[1] ~= master or before ~= after or stored[3] ~= fewer_since then
  redis.call('HSET', KEYS[1], 'master', master, 'replicas', after, 'fewer_since', fewer_since)
end
return { math.min(before, after), after }
