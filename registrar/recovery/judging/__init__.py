"""What is due, what came, and what is missing: the judgement on one upgrade. `verdict.py` decides."""
