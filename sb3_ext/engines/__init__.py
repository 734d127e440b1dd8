"""Engines: implementations of the updates (``train``) of SB3 models. The model stays a stock SB3 model."""
