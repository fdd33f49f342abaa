-- Stores an observation, unless a later holder of the mutex has stored one already.
--
-- KEYS[1]  observations
-- KEYS[2]  observed
-- ARGV[1]  the fencing token under which it was made
-- ARGV[2]  '<account>/<version>'
-- ARGV[3]  the observation, JSON
--
-- Returns 1; 0 if it came too late.

if tonumber(ARGV[1]) < tonumber(redis.call('GET', KEYS[2]) or '0') then
  return 0
end
redis.call('SET', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 1
