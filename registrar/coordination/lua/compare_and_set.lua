-- Changes a field of a hash, if it is still what the caller read.
--
-- KEYS[1]  the hash
-- ARGV[1]  the field
-- ARGV[2]  what the caller read; empty: there was nothing
-- ARGV[3]  the new content
--
-- Returns 1; 0 if somebody else was faster: then read again.

if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
