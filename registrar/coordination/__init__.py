"""What the replicas of a namespace share in Redis: mutex, members, observations, pauses."""
