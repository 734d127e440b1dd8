"""Connect4 on boards of any size: rules for many boards at once, and two environments that play by them."""
