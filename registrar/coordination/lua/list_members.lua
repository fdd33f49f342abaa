-- Reads the members, and deletes only those whose lease has expired.
--
-- KEYS[1]  leases
-- KEYS[2]  members
--
-- Returns the live members, as `list_members` does.

local now = now_ms()
delete_expired(KEYS[1], KEYS[2], now)
return list_members(KEYS[1], KEYS[2], now)
