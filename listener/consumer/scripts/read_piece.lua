-- Reads a piece of an entry that is too large for one reply.
--
-- KEYS[1]  the stream
-- ARGV[1]  the entry's id
-- ARGV[2]  the offset of the piece, in bytes, in all names and values concatenated
-- ARGV[3]  the length of the piece, in bytes; the last one may be shorter
--
-- Returns the piece; nil if the entry was deleted from the stream.

local entry = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
return entry and string.sub(table.concat(entry[2]), ARGV[2] + 1, ARGV[2] + ARGV[3])
