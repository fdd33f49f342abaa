-- XINFO STREAM without the fields of the first and the last entry, which may have megabytes.
--
-- KEYS[1]  the stream
--
-- Returns the reply of XINFO STREAM, with an entry as a list of its id alone.

local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
if info.err then
  return info
end
for n = 1, #info, 2 do
  local is_entry = info[n] == 'first-entry' or info[n] == 'last-entry'
  if is_entry and info[n + 1] then
    info[n + 1] = {info[n + 1][1]}
  end
end
return info
