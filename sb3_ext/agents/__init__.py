"""Agents that were trained: find one by what a user names, load it, evaluate it, let it play."""
