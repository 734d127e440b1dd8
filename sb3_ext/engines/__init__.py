"""Engines compute the updates of a model; the model stays a stock SB3 model."""
