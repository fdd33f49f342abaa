"""The proof that no acknowledged message is lost: `bin/chaos`, real processes and real faults."""
