-- Adds an entry to a stream unless one with the same fingerprint was added within the window.
-- De-duplication and XADD are one atomic step, so a resent or concurrent duplicate adds nothing.
--
-- KEYS[1]  the stream
-- KEYS[2]  where the entry id of this fingerprint is remembered
-- ARGV[1]  the window, in seconds
-- ARGV[2]  the greatest length of the stream, kept approximately; 0: unbounded
-- ARGV[3…] the entry: field, value, field, value, …
--
-- Returns {entry id, 1 if it was there already, else 0}.

local known = redis.call('GET', KEYS[2])
if known then
  return {known, 1}
end

local id
if ARGV[2] == '0' then
  id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3))
else
  id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 3))
end
redis.call('SET', KEYS[2], id, 'EX', ARGV[1])
return {id, 0}
