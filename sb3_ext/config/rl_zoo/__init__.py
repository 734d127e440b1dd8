"""Hyperparameters and trained agents of RL Zoo (``rl_zoo3``), read from its files without importing it."""
