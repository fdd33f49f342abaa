"""The spool: messages that Redis did not confirm, in a SQLite journal on local disk."""
