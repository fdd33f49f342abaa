"""What several rings of tests share."""
