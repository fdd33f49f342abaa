"""Changes what a consumer group is given: moves its cursor, gives entries again."""
