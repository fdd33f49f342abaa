-- Renews the mutex, if it is still held.
--
-- KEYS[1]  mutex
-- ARGV[1]  'fencing-token member'
-- ARGV[2]  for how long, ms
--
-- Returns 1; 0 if it was lost.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
