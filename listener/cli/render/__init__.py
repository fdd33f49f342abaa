"""How the commands show things: tables, rows of a CSV file, dead letters, spooled messages."""
