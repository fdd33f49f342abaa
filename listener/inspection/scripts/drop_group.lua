-- Destroys a consumer group in one partition, unless a consumer is active or entries are pending. Looking and
-- destroying are one step, so that nobody reads or starts in between.
--
-- KEYS[1]  the stream of messages
-- KEYS[2]  the group's stream of dead letters
-- ARGV[1]  the group
-- ARGV[2]  a consumer that was idle for less, in ms, is active
-- ARGV[3]  1: also if a consumer is active or entries are pending
-- ARGV[4]  1: delete the dead letters as well
-- ARGV[5…] names in the group that no process reads under
--
-- Returns what was done, the number of pending entries, and the number of dead letters that were deleted:
--   'dropped'   the group is gone
--   'active'    a consumer is active; nothing was done
--   'pending'   entries are pending; nothing was done
--   'no-group'  the stream has no such group; dead letters are deleted all the same

local function named(pairs_in_a_row)
  local fields = {}
  for at = 1, #pairs_in_a_row, 2 do
    fields[pairs_in_a_row[at]] = pairs_in_a_row[at + 1]
  end
  return fields
end

local function find_group()
  if redis.call('EXISTS', KEYS[1]) == 0 then
    return nil
  end
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local group = named(info)
    if group.name == ARGV[1] then
      return group
    end
  end
  return nil
end

local pseudo = {}
for at = 5, #ARGV do
  pseudo[ARGV[at]] = true
end

local function is_active()
  for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local consumer = named(info)
    if not pseudo[consumer.name] and consumer.idle < tonumber(ARGV[2]) then
      return true
    end
  end
  return false
end

local group = find_group()
local pending = group and group.pending or 0
if group and ARGV[3] ~= '1' then
  if is_active() then
    return { 'active', pending, 0 }
  end
  if pending > 0 then
    return { 'pending', pending, 0 }
  end
end
local deleted = 0
if ARGV[4] == '1' then
  deleted = redis.call('XLEN', KEYS[2])
  redis.call('UNLINK', KEYS[2])
end
if not group then
  return { 'no-group', 0, deleted }
end
redis.call('XGROUP', 'DESTROY', KEYS[1], ARGV[1])
return { 'dropped', pending, deleted }
