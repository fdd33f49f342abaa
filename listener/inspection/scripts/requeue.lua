-- Gives a dead letter back to its group and deletes it, in one step.
--
-- If the original entry is still in the stream, it becomes pending again: for this group alone, with no
-- deliveries, and idle for long enough that the next consumer claims it. If the original entry is gone, the
-- message is added as a new entry, which every group gets.
--
-- KEYS[1]  the stream of messages
-- KEYS[2]  the group's stream of dead letters
-- ARGV[1]  the group
-- ARGV[2]  the dead letter's entry id
-- ARGV[3]  the consumer that owns the pending entry until another one claims it
-- ARGV[4]  the idle time of the pending entry, in ms
-- ARGV[5]  1: only say what would be done
-- ARGV[6…] the fields that the dead letter has besides those of the message
--
-- Returns what was done, and the entry id in the stream of messages:
--   'again'     the original entry is pending
--   'added'     a new entry; the id is empty if it was only asked
--   'empty'     the original entry is gone, and the dead letter has no field of the message; nothing was done
--   'gone'      there is no such dead letter (any more); nothing was done
--   'no-group'  the stream has no such group; nothing was done

local letter = redis.call('XRANGE', KEYS[2], ARGV[2], ARGV[2])[1]
if not letter then
  return { 'gone', '' }
end

local function has_group()
  if redis.call('EXISTS', KEYS[1]) == 0 then
    return false
  end
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    for at = 1, #info, 2 do
      if info[at] == 'name' and info[at + 1] == ARGV[1] then
        return true
      end
    end
  end
  return false
end

if not has_group() then
  return { 'no-group', '' }
end

local added = {}
for at = 6, #ARGV do
  added[ARGV[at]] = true
end
local fields, original = {}, ''
for at = 1, #letter[2], 2 do
  if letter[2][at] == 'entry' then
    original = letter[2][at + 1]
  end
  if not added[letter[2][at]] then
    fields[#fields + 1] = letter[2][at]
    fields[#fields + 1] = letter[2][at + 1]
  end
end

-- The id may be any text: no entry has an id that Redis does not accept.
local function exists(id)
  if not string.find(id, '^%d+%-%d+$') then
    return false
  end
  local reply = redis.pcall('XRANGE', KEYS[1], id, id)
  return not reply.err and #reply == 1
end

local is_asked = ARGV[5] == '1'
local result, id = 'again', original
if exists(original) then
  if is_asked then
    return { result, id }
  end
  local claimed = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, original,
    'IDLE', ARGV[4], 'RETRYCOUNT', 0, 'FORCE', 'JUSTID')
  if claimed[1] ~= original then
    return redis.error_reply('ERR XCLAIM did not take ' .. original)
  end
elseif #fields == 0 then
  -- The original entry was no message, or somebody wrote the dead letter by hand.
  return { 'empty', '' }
elseif is_asked then
  return { 'added', '' }
else
  result, id = 'added', redis.call('XADD', KEYS[1], '*', unpack(fields))
end
redis.call('XDEL', KEYS[2], ARGV[2])
return { result, id }
