-- Takes the mutex, if it is free.
--
-- KEYS[1]  mutex
-- KEYS[2]  fence
-- ARGV[1]  the member
-- ARGV[2]  for how long, ms
--
-- Returns the fencing token, greater than every one before it; 0 if another holds the mutex.

if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
local token = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], token .. ' ' .. ARGV[1], 'PX', ARGV[2])
return token
