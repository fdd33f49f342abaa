-- Moves an entry that a group gives up to its dead stream, and acknowledges it, in one atomic step, so that
-- it is always in one of the two. If that was done before, or another consumer holds the entry, it does nothing.
--
-- KEYS[1]  the stream
-- KEYS[2]  the group's dead stream
-- ARGV[1]  the group
-- ARGV[2]  the consumer that holds the entry
-- ARGV[3]  the entry's id
-- ARGV[4…] field, value, …: added after the entry's own fields
--
-- A script can pass at most 8000 arguments to a command. If an entry has more than 2000 fields, which the
-- listener never makes, the rest becomes one field, `more`: a JSON list of names and values.
--
-- Returns 1 if the entry is in the dead stream now, 0 if it was not the consumer's, and -1 if its data
-- was deleted from the stream: then it is acknowledged, and nothing of it is kept.

local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)[1]
if not pending or pending[2] ~= ARGV[2] then
  return 0
end
local entry = redis.call('XRANGE', KEYS[1], ARGV[3], ARGV[3])[1]
if not entry then
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
  return -1
end
local fields, rest = {}, {}
for at, text in ipairs(entry[2]) do
  local list = at <= 4000 and fields or rest
  list[#list + 1] = text
end
if #rest > 0 then
  fields[#fields + 1] = 'more'
  fields[#fields + 1] = cjson.encode(rest)
end
for at = 4, #ARGV do
  fields[#fields + 1] = ARGV[at]
end
redis.call('XADD', KEYS[2], '*', unpack(fields))
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
return 1
