-- Takes the mutex, if it is free, or the member's own: the command may be sent twice, and giving it
-- back may have failed. What the member held before it then no longer holds.
--
-- KEYS[1]  mutex
-- KEYS[2]  fence
-- ARGV[1]  the member
-- ARGV[2]  for how long, ms
--
-- Returns the fencing token, greater than every one before it; 0 if another holds the mutex.

local holder = redis.call('GET', KEYS[1])
if holder and string.match(holder, '^%d+ (.*)$') ~= ARGV[1] then
  return 0
end
local token = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], token .. ' ' .. ARGV[1], 'PX', ARGV[2])
return token
