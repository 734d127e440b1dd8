"""Connect4 on boards of any size: vectorised rules, and two environments."""
