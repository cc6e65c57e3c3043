"""Statistics over independent trainings: which differences hold, and which methods cannot be told apart."""
