"""Private names of Gymnasium, checked with 1.4.0. Environments of PettingZoo and Gym have the same names."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

CONSTRUCTION_ATTRIBUTES = frozenset({"_cached_spec", "_saved_kwargs", "_ezpickle_args", "_ezpickle_kwargs"})
"""Attributes of environments and wrappers that store how they were made, and never change."""

GENERATOR_ATTRIBUTE = "_np_random"
"""The attribute behind ``np_random`` of environments and spaces: ``None`` until the first use."""

GENERATOR_SEED_ATTRIBUTE = "_np_random_seed"
"""The attribute behind ``np_random_seed`` of environments."""


def get_generator(space: spaces.Space[Any]) -> np.random.Generator | None:
    """
    Return the random number generator of a space. Unlike ``np_random``, this does not create one.

    :param space: any space
    :return: the generator; ``None`` if nothing was sampled yet
    """
    return space._np_random
