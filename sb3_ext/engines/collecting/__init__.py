"""Collect rollouts and predict actions without the overhead of torch modules, distributions and SB3's loops."""
