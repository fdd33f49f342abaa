-- Reads the roll, and strikes nobody out but those whose lease has expired.
--
-- KEYS[1]  leases
-- KEYS[2]  members
--
-- Returns the live members, as `roll` does.

local now = now_ms()
strike_expired(KEYS[1], KEYS[2], now)
return roll(KEYS[1], KEYS[2], now)
