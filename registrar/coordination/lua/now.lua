-- Redis's own time: replicas' clocks may differ. As a script, so that in a Cluster it is the clock
-- of the node that holds the key.
--
-- KEYS[1]  any key of the registrar
--
-- Returns {seconds, microseconds}.

return redis.call('TIME')
