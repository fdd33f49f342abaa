-- Stores what a page of a stream says of upgrades, and how far the stream was read, in one step: two replicas
-- that read the same page store it once, and nothing is read that is not stored.
--
-- KEYS[1]  a hash: how far the stream was read
-- KEYS[2…] the evidence of upgrades: hashes, and sets of devices
-- ARGV[1]  the cursor that the page was read behind
-- ARGV[2]  how many arguments follow for the first hash; then its fields and values in turn
-- ARGV[…]  for each further key: for how long it is kept at the least, in seconds; HSET or SADD; how many
--          arguments follow, and these
--
-- Returns 1 if it was stored; 0 if another replica moved the cursor meanwhile.

if (redis.call('HGET', KEYS[1], 'cursor') or '0-0') ~= ARGV[1] then
  return 0
end
local AT_ONCE = 1000
local function add(command, key, first, last)
  for at = first, last, AT_ONCE do
    redis.call(command, key, unpack(ARGV, at, math.min(at + AT_ONCE - 1, last)))
  end
end

local at = 3 + tonumber(ARGV[2])
add('HSET', KEYS[1], 3, at - 1)
for n = 2, #KEYS do
  local kept_s, size = tonumber(ARGV[at]), tonumber(ARGV[at + 2])
  add(ARGV[at + 1], KEYS[n], at + 3, at + 2 + size)
  if redis.call('TTL', KEYS[n]) < kept_s then
    redis.call('EXPIRE', KEYS[n], kept_s)
  end
  at = at + 3 + size
end
return 1
