-- Reads a piece of an entry, which may be too large for one reply.
--
-- KEYS[1]  the stream
-- ARGV[1]  the entry's id
-- ARGV[2]  the bytes before the piece, of all names and values one behind the other
-- ARGV[3]  the length of the piece, in bytes; the last one may be shorter
--
-- Returns the piece; nil if the entry is gone from the stream.

local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
return entry and string.sub(table.concat(entry[2]), ARGV[2] + 1, ARGV[2] + ARGV[3])
