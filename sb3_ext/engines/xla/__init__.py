"""Whole updates of SB3 models as single programs, compiled by XLA through JAX."""
