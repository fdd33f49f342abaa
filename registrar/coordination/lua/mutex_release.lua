-- Releases the mutex, if it is still held.
--
-- KEYS[1]  mutex
-- ARGV[1]  'fencing-token member'
--
-- Returns 1; 0 if it was lost.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
