"""The findings of `check` and of the status page: what is wrong with the service's surroundings, and what to do."""
