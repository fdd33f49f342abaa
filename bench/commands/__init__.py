"""The commands of `bench/run` that write their results as JSON and into the documents."""
