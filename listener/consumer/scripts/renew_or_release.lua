-- Renews entries that are pending for a consumer, counts a delivery of them, or releases them. Entries
-- that are no longer its own (acknowledged, or taken over by another) are not changed, but returned.
--
-- KEYS[1]  the stream
-- ARGV[1]  the group
-- ARGV[2]  the consumer that holds them
-- ARGV[3]  the consumer that holds them afterwards: the same, or the one they are released to
-- ARGV[4]  their idle time afterwards, in milliseconds
-- ARGV[5…] for each entry: its id and its new number of deliveries; empty: unchanged
--
-- Returns the ids that are not the consumer's own.

local lost = {}
for at = 5, #ARGV, 2 do
  local id, count = ARGV[at], ARGV[at + 1]
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1]
  if not pending or pending[2] ~= ARGV[2] then
    lost[#lost + 1] = id
  elseif count == '' then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, id, 'IDLE', ARGV[4], 'JUSTID')
  else
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, id, 'IDLE', ARGV[4], 'RETRYCOUNT', count, 'JUSTID')
  end
end
return lost
