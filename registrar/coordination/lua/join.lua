-- Enters a member. Joining again, after a lease lapsed, keeps its place in the order of joining,
-- because the member says for how long it has been one.
--
-- KEYS[1]  leases
-- KEYS[2]  members
-- KEYS[3]  known URLs
-- ARGV[1]  the member
-- ARGV[2]  how long the lease is to last, ms
-- ARGV[3]  how long ago the member first wanted to join, ms; -1: a candidate, which supersedes nobody
-- ARGV[4]  digest of its deployment
-- ARGV[5]  digest of its URL
-- ARGV[6]  how long a URL is known, ms
--
-- Returns the live members, as `list_members` does.

local now = now_ms()
delete_expired(KEYS[1], KEYS[2], now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
local joined = '0'
if tonumber(ARGV[3]) >= 0 then
  joined = string.format('%.0f', now - ARGV[3])
end
redis.call('HSET', KEYS[2], ARGV[1], joined .. ' ' .. ARGV[4] .. ' ' .. ARGV[5])
redis.call('ZADD', KEYS[3], now, ARGV[5])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[6])
return list_members(KEYS[1], KEYS[2], now)
