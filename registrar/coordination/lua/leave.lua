-- Deletes a member. Deleting one that is no member is not an error.
--
-- KEYS[1]  leases
-- KEYS[2]  members
-- ARGV[1]  the member
--
-- Returns how many live members remain, and 1 if the member was one, else 0.

local now = now_ms()
local was_member = redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
delete_expired(KEYS[1], KEYS[2], now)
return {redis.call('ZCARD', KEYS[1]), was_member}
