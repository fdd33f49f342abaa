"""The calls of ThingSpace's REST API that report on upgrades: requests and replies of v1, v2 and v3. Pure."""
