"""What sb3_ext.internals.gymnasium relies on in Gymnasium."""

from __future__ import annotations

import gymnasium
import pytest
from gymnasium import spaces
from gymnasium.utils import EzPickle
from gymnasium.wrappers import TimeLimit

from sb3_ext.internals.gymnasium import (
    CONSTRUCTION_ATTRIBUTES,
    GENERATOR_ATTRIBUTE,
    GENERATOR_SEED_ATTRIBUTE,
    get_generator,
)


def test_a_space_has_no_generator_before_it_samples() -> None:
    space = spaces.Discrete(3)
    assert get_generator(space) is None
    space.sample()
    assert get_generator(space) is space.np_random
    assert vars(space)[GENERATOR_ATTRIBUTE] is space.np_random


def test_an_environment_keeps_its_generator_and_seed() -> None:
    env = gymnasium.make("CartPole-v1").unwrapped
    env.reset(seed=3)
    assert getattr(env, GENERATOR_ATTRIBUTE) is env.np_random
    assert getattr(env, GENERATOR_SEED_ATTRIBUTE) == env.np_random_seed == 3


@pytest.mark.parametrize("name", sorted(CONSTRUCTION_ATTRIBUTES))
def test_what_a_layer_was_made_with_is_in_these_attributes(name: str) -> None:
    class Pickled(EzPickle):
        pass

    wrapped = TimeLimit(gymnasium.make("CartPole-v1"), 10)
    assert wrapped.spec is not None  # fills the wrapper's cache
    assert name in vars(wrapped) or name in vars(Pickled(1))
