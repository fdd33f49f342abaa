-- Goes backwards through a range of a stream, up to a number of entries and bytes, and returns the entries that may
-- be wanted: the caller decides that by their data, which is JSON. It returns too many rather than too few, because
-- JSON may write each letter in several ways.
--
-- KEYS[1]  the stream
-- ARGV[1]  where to begin, as XREVRANGE takes it
-- ARGV[2]  where to end
-- ARGV[3]  the maximum of entries that are read
-- ARGV[4]  the bytes of values after which no further entry is read; of those that are returned, a quarter of it
-- ARGV[5]  the maximum of bytes of a value that are returned
-- ARGV[6]  the message id, or '' for any
-- ARGV[7]  the account, or '' for any
-- ARGV[8]  the kinds, separated by spaces, or '' for any
-- ARGV[9]  the subject; or '' for any
-- ARGV[10] a Lua pattern at which the subject may begin instead, or that the data of an unknown kind may match
-- ARGV[11] a Lua pattern that the data must match, or '' for any
-- ARGV[12…] the fields that are returned; none: all
--
-- Returns the number of entries that were read; the number of bytes; the id of the last entry that was read, or '' if
-- nothing is left in the range; and for each entry that may be wanted: its id, its fields and values in turn, the
-- fields and whole sizes, in turn, of the values that were cut, and 1 if the data match by themselves, else 0.

local max_entries, max_bytes, max_value_bytes = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local id, account, subject, subject_pattern, data_pattern = ARGV[6], ARGV[7], ARGV[9], ARGV[10], ARGV[11]
local find = string.find
-- Letters outside of ASCII, which are compared by the caller.
local UNUSUAL = '[\128-\255]'
-- Entries that are read by one command, while they are short: several could be of megabytes each.
local MAX_BATCH, MAX_BATCH_BYTES = 16, 65536

local kinds
for kind in string.gmatch(ARGV[8], '%S+') do
  kinds = kinds or {}
  kinds[kind] = true
end
local returned
for n = 12, #ARGV do
  returned = returned or {}
  returned[ARGV[n]] = true
end

local function may_match(text, pattern)
  -- JSON may write each letter behind a backslash.
  return text and (find(text, '\\', 1, true) or find(text, pattern) or find(text, UNUSUAL))
end

local function is_candidate(values)
  if (id ~= '' and values.id ~= id) or (account ~= '' and values.account ~= account) or (kinds and not kinds[values.kind]) then
    return false
  end
  if data_pattern ~= '' and not may_match(values.data, data_pattern) then
    return false
  end
  return subject == '' or values.subject == subject or may_match(values.subject, '^%W*' .. subject_pattern)
    or (values.kind == 'unknown' and may_match(values.data, subject_pattern))
end

local function projected(entry, values)
  local fields, cut, size = {}, {}, 0
  for n = 1, #entry[2], 2 do
    local name, value = entry[2][n], entry[2][n + 1]
    if not returned or returned[name] then
      fields[#fields + 1] = name
      if #value > max_value_bytes then
        cut[#cut + 1] = name
        cut[#cut + 1] = #value
        value = string.sub(value, 1, max_value_bytes)
      end
      fields[#fields + 1] = value
      size = size + #value
    end
  end
  local by_itself = data_pattern ~= '' and values.data and find(values.data, data_pattern)
  return {entry[1], fields, cut, by_itself and 1 or 0}, size
end

local start, batch = ARGV[1], 1
local read, size, found, found_bytes = 0, 0, {}, 0
-- Redis walks through the whole stream for a range that ends before its first entry, and serves nobody meanwhile.
local first = redis.pcall('XRANGE', KEYS[1], '-', start, 'COUNT', 1)
if first.err then
  return first
end
if not first[1] then
  return {read, size, '', found}
end
while read < max_entries and size < max_bytes and found_bytes < max_bytes / 4 do
  local reply = redis.pcall('XREVRANGE', KEYS[1], start, ARGV[2], 'COUNT', math.min(batch, max_entries - read))
  if reply.err then
    return reply
  end
  if #reply == 0 then
    return {read, size, '', found}
  end
  local size_before = size
  for _, entry in ipairs(reply) do
    local flat, values = entry[2], {}
    for n = 1, #flat, 2 do
      values[flat[n]] = flat[n + 1]
      size = size + #flat[n] + #flat[n + 1]
    end
    if is_candidate(values) then
      local row, bytes = projected(entry, values)
      found[#found + 1] = row
      found_bytes = found_bytes + bytes
    end
  end
  local last = reply[#reply][1]
  read, start = read + #reply, '(' .. last
  if last == first[1][1] then
    return {read, size, '', found}
  end
  local is_short = (size - size_before) / #reply < MAX_BATCH_BYTES / MAX_BATCH
  batch = is_short and math.min(batch * 2, MAX_BATCH) or 1
end
return {read, size, string.sub(start, 2), found}
