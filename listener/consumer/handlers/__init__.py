"""The program's own code: its handlers by kind, their options, what they may raise, and how they are called."""
