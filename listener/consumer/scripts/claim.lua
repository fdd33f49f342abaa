-- Takes pending entries over. Their deliveries are not counted: most of what a consumer that died had
-- in hand it never began.
--
-- KEYS[1]  the stream
-- ARGV[1]  the group
-- ARGV[2]  the consumer that takes them
-- ARGV[3]  how long they must have been idle, in milliseconds: who renewed them meanwhile keeps them
-- ARGV[4]  only what this consumer holds; empty: whoever holds it
-- ARGV[5]  how many bytes of entries to return at most; with more, the rest of the ids is left alone
-- ARGV[6…] the entries' ids
--
-- Returns two lists and a number:
--   for each entry that was taken: its id, who held it, how many deliveries it has, its fields; of an
--   entry that alone has too many bytes, instead of its fields, the length of each name and value;
--   the ids that were acknowledged here, because their entries are gone from the stream;
--   how many ids were left alone because of the bytes.

local taken, gone, left = {}, {}, tonumber(ARGV[5])
for at = 6, #ARGV do
  local id = ARGV[at]
  local held = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1]
  if held and held[3] >= tonumber(ARGV[3]) and (ARGV[4] == '' or ARGV[4] == held[2]) then
    local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
    if entry then
      local lengths, bytes = {}, 0
      for part, text in ipairs(entry[2]) do
        lengths[part] = #text
        bytes = bytes + #text
      end
      if bytes > left and #taken > 0 then
        return { taken, gone, #ARGV - at + 1 }
      end
      redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'JUSTID')
      taken[#taken + 1] = { id, held[2], held[4], bytes > left and lengths or entry[2] }
      left = left - bytes
    else
      redis.call('XACK', KEYS[1], ARGV[1], id)
      gone[#gone + 1] = id
    end
  end
end
return { taken, gone, 0 }
