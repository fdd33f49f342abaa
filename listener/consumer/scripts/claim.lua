-- Claims pending entries. That is not counted as a delivery, because a consumer that dies has not begun
-- most of what it had in flight.
--
-- KEYS[1]  the stream
-- ARGV[1]  the group
-- ARGV[2]  the consumer that claims them
-- ARGV[3]  the least idle time, in milliseconds: a consumer that has just renewed an entry keeps it
-- ARGV[4]  claim only from this consumer; empty: from all
-- ARGV[5]  how many bytes of entries to return at most; the ids of those beyond are not processed
-- ARGV[6…] the entries' ids
--
-- Returns two lists and a number:
--   for each claimed entry: its id, its previous consumer, its number of deliveries, its fields; for an
--   entry that alone exceeds the bytes, the length of each name and value instead of its fields;
--   the ids that were acknowledged, because their entries were deleted from the stream;
--   how many ids were not processed because of the bytes.

local claimed, gone, left = {}, {}, tonumber(ARGV[5])
for at = 6, #ARGV do
  local id = ARGV[at]
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1]
  if pending and pending[3] >= tonumber(ARGV[3]) and (ARGV[4] == '' or ARGV[4] == pending[2]) then
    local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
    if entry then
      local lengths, bytes = {}, 0
      for part, text in ipairs(entry[2]) do
        lengths[part] = #text
        bytes = bytes + #text
      end
      if bytes > left and #claimed > 0 then
        return { claimed, gone, #ARGV - at + 1 }
      end
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'JUSTID')
      claimed[#claimed + 1] = { id, pending[2], pending[4], bytes > left and lengths or entry[2] }
      left = left - bytes
    else
      redis.call('XACK', KEYS[1], ARGV[1], id)
      gone[#gone + 1] = id
    end
  end
end
return { claimed, gone, 0 }
