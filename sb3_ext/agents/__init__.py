"""Trained agents: find, load, evaluate and play them."""
