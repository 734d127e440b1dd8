"""Save and restore environments in the middle of their episodes, and test whether that is exact."""
