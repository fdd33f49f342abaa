-- Begins, or prolongs, the pause in which no replica calls ThingSpace. It doubles each time.
--
-- KEYS[1]  pause: expires when the pause is over
-- KEYS[2]  pauses: how many there were in a row
-- ARGV[1]  the first pause, ms
-- ARGV[2]  the longest, ms
-- ARGV[3]  what the provider asked for, ms; never less than that
-- ARGV[4]  jitter: what to multiply the pause by
--
-- Returns for how long the pause lasts from now on, ms.

local count = redis.call('INCR', KEYS[2])
local doubled = math.min(ARGV[1] * 2 ^ math.min(count - 1, 30), tonumber(ARGV[2])) * ARGV[4]
local pause = math.max(math.floor(doubled), tonumber(ARGV[3]), 1)
-- A row ends with a tick that gets through, or if nobody looks for long after the pause.
redis.call('PEXPIRE', KEYS[2], pause + 2 * ARGV[2])
if redis.call('PTTL', KEYS[1]) < pause then
  redis.call('SET', KEYS[1], count, 'PX', pause)
end
return redis.call('PTTL', KEYS[1])
