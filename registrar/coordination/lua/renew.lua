-- Renews a lease that is still held.
--
-- KEYS[1]  leases
-- KEYS[2]  members
-- KEYS[3]  known URLs
-- ARGV[1]  the member
-- ARGV[2]  how long the lease is to last, ms
-- ARGV[3]  digest of its URL
--
-- Returns the live members, as `list_members` does; none if the lease had lapsed: then join again.

local now = now_ms()
delete_expired(KEYS[1], KEYS[2], now)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return {}
end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[3], now, ARGV[3])
return list_members(KEYS[1], KEYS[2], now)
