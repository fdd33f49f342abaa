-- Put before join, renew, leave and list_members. The time is Redis's own: replicas' clocks may differ.

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Deletes the members whose lease has expired.
local function delete_expired(leases, members, now)
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now)) do
    redis.call('ZREM', leases, gone)
    redis.call('HDEL', members, gone)
  end
end

-- The live members: {{name, ms that its lease still lasts, 'joined-ms deployment url'}, …}.
local function list_members(leases, members, now)
  local live = redis.call('ZRANGE', leases, 0, -1, 'WITHSCORES')
  local lines = {}
  for i = 1, #live, 2 do
    local stored = redis.call('HGET', members, live[i]) or '0 - -'
    lines[#lines + 1] = {live[i], string.format('%.0f', live[i + 1] - now), stored}
  end
  return lines
end
