-- Deletes names of consumers without pending entries. Checking and deleting are one atomic step, because
-- deleting a name also forgets what is pending for it.
--
-- KEYS[1]  the stream
-- ARGV[1]  the group
-- ARGV[2]  a name that is deleted however recently it was used; empty: none
-- ARGV[3]  the idle time in milliseconds from which on the other names are deleted
--
-- Returns the names that were deleted.

local consumers = redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
local deleted = {}
for _, row in ipairs(consumers) do
  local consumer = {}
  for at = 1, #row, 2 do
    consumer[row[at]] = row[at + 1]
  end
  local is_unused = consumer.name == ARGV[2] or consumer.idle >= tonumber(ARGV[3])
  if consumer.pending == 0 and is_unused then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    deleted[#deleted + 1] = consumer.name
  end
end
return deleted
