"""Evaluate a model: play episodes, compute statistics, detect convergence, record videos."""
