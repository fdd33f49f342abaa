-- Enters a member. Joining again, after a lease lapsed, keeps its place in the order of joining,
-- because the member says for how long it has been one.
--
-- KEYS[1]  leases
-- KEYS[2]  members
-- KEYS[3]  family
-- ARGV[1]  the member
-- ARGV[2]  how long the lease is to last, ms
-- ARGV[3]  how long ago the member first wanted to join, ms; -1: it only starts, and supersedes nobody
-- ARGV[4]  digest of its deployment
-- ARGV[5]  digest of its URL
-- ARGV[6]  how long the family remembers a URL, ms
--
-- Returns the live members, as `roll` does.

local now = now_ms()
strike_expired(KEYS[1], KEYS[2], now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
local joined = '0'
if tonumber(ARGV[3]) >= 0 then
  joined = string.format('%.0f', now - ARGV[3])
end
redis.call('HSET', KEYS[2], ARGV[1], joined .. ' ' .. ARGV[4] .. ' ' .. ARGV[5])
redis.call('ZADD', KEYS[3], now, ARGV[5])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[6])
return roll(KEYS[1], KEYS[2], now)
