-- What every contender but ours runs for a message: de-duplication and XADD in one atomic step.
--
-- KEYS[1]  the stream
-- KEYS[2]  where the entry id of the fingerprint is remembered
-- ARGV[1]  the window, in seconds
-- ARGV[2…] field, value, field, value, …
--
-- Returns the entry id, and 1 if the message was there already, else 0.

local id = redis.call('GET', KEYS[2])
if id then
  return {id, 1}
end
id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2))
redis.call('SET', KEYS[2], id, 'EX', ARGV[1])
return {id, 0}
