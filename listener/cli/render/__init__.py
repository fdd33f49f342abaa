"""The formats that commands print: tables, rows of a CSV file, spooled messages."""
