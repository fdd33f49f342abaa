-- Stores how far a sweep is, and what it found of some upgrades, unless a later holder of the mutex has written.
--
-- KEYS[1]  the fencing token of the last one that wrote
-- KEYS[2]  slots
-- KEYS[3]  the upgrades of this slot
-- ARGV[1]  fencing token
-- ARGV[2]  the slot
-- ARGV[3]  JSON of the slot
-- ARGV[4…] upgrade id, JSON of its record (empty: delete it), and so on
--
-- Returns 1; 0 if a later holder has written: then nothing is stored.

local written = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[1]) < written then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
for place = 4, #ARGV, 2 do
  if ARGV[place + 1] == '' then
    redis.call('HDEL', KEYS[3], ARGV[place])
  else
    redis.call('HSET', KEYS[3], ARGV[place], ARGV[place + 1])
  end
end
return 1
