"""Redis servers as real processes: one, many, under Sentinels, as a Cluster."""
