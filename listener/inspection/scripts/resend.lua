-- Gives an entry to one group once more, in one step: the entry becomes pending in that group, with no deliveries and
-- idle for long enough that the next consumer claims it. The group's cursor and the other groups stay as they are.
--
-- KEYS[1]  the stream of messages
-- ARGV[1]  the group
-- ARGV[2]  the entry's id, both parts without leading zeros
-- ARGV[3]  the consumer that owns the pending entry until another one claims it
-- ARGV[4]  the idle time of the pending entry, in ms
-- ARGV[5]  1: only say what would be done
--
-- Returns what was done; for 'pending' also the consumer that has it, and its number of deliveries:
--   'again'     the entry is pending
--   'pending'   it was pending already; nothing was done
--   'unread'    the group has not read it yet, and will; nothing was done
--   'gone'      the stream has no such entry (any more); nothing was done
--   'no-group'  the stream has no such group; nothing was done

local group, id = ARGV[1], ARGV[2]

-- A part may have 64 bits, more than a number of Lua holds: of two texts of digits the longer one is the greater.
local function is_greater(part, other)
  if #part ~= #other then
    return #part > #other
  end
  return part > other
end

local function is_behind(entry, cursor)
  local ms, number = string.match(entry, '^(%d+)%-(%d+)$')
  local cursor_ms, cursor_number = string.match(cursor, '^(%d+)%-(%d+)$')
  if ms ~= cursor_ms then
    return is_greater(ms, cursor_ms)
  end
  return is_greater(number, cursor_number)
end

local function cursor_of_group()
  if redis.call('EXISTS', KEYS[1]) == 0 then
    return nil
  end
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local fields = {}
    for at = 1, #info, 2 do
      fields[info[at]] = info[at + 1]
    end
    if fields['name'] == group then
      return fields['last-delivered-id']
    end
  end
  return nil
end

local cursor = cursor_of_group()
if not cursor then
  return { 'no-group' }
end
-- Redis 6.2 would make a deleted entry pending by force; 7.0 does not.
if #redis.call('XRANGE', KEYS[1], id, id) == 0 then
  return { 'gone' }
end
local held = redis.call('XPENDING', KEYS[1], group, id, id, 1)[1]
if held then
  return { 'pending', held[2], held[4] }
end
if is_behind(id, cursor) then
  return { 'unread' }
end
if ARGV[5] ~= '1' then
  local claimed = redis.call('XCLAIM', KEYS[1], group, ARGV[3], 0, id,
    'IDLE', ARGV[4], 'RETRYCOUNT', 0, 'FORCE', 'JUSTID')
  if claimed[1] ~= id then
    return redis.error_reply('ERR XCLAIM did not take ' .. id)
  end
end
return { 'again' }
