"""The state of environments in the midst of their episodes: taken, restored, and tried out."""
