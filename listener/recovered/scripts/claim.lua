-- Decides with which content a message is recovered: the first one that was claimed. Every sweep and every
-- replica then queues the same content, although ThingSpace's report changes in between.
--
-- KEYS[1]  the evidence of the upgrade, a hash
-- ARGV[1]  the field that says that the message was recovered
-- ARGV[2]  the field that holds its content until it is queued
-- ARGV[3]  the content
-- ARGV[4]  for how long evidence is kept, in seconds
--
-- Returns the content to queue; nil if the message was recovered before.

if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return false
end
redis.call('HSETNX', KEYS[1], ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return redis.call('HGET', KEYS[1], ARGV[2])
