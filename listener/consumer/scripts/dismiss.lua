-- Deletes names of consumers that nothing is pending for. Looking and deleting are one atomic step:
-- deleting a name also forgets what is pending for it.
--
-- KEYS[1]  the stream
-- ARGV[1]  the group
-- ARGV[2]  a name that goes at once; empty: none
-- ARGV[3]  the other names go when they were idle for so long, in milliseconds
--
-- Returns the names that were deleted.

local consumers = redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
local deleted = {}
for _, pairs_in_a_row in ipairs(consumers) do
  local consumer = {}
  for at = 1, #pairs_in_a_row, 2 do
    consumer[pairs_in_a_row[at]] = pairs_in_a_row[at + 1]
  end
  local unneeded = consumer.name == ARGV[2] or consumer.idle >= tonumber(ARGV[3])
  if consumer.pending == 0 and unneeded then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    deleted[#deleted + 1] = consumer.name
  end
end
return deleted
