"""Every algorithm by the name it has in a configuration. Importing this imports no torch."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sb3_ext.errors import ConfigError
from sb3_ext.problems import suggest_name

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

_ANY_ACTIONS = ("Box", "Discrete", "MultiDiscrete", "MultiBinary")
_DISCRETE_ACTIONS = ("Discrete", "MultiDiscrete", "MultiBinary")


@dataclass(frozen=True)
class Algorithm:
    """
    What the package needs to know of an algorithm before importing it.

    :param id: its name in a configuration
    :param module: the module that exports its class
    :param class_name: the name of its class there
    :param action_spaces: class names of the Gymnasium spaces that it can act in
    :param is_off_policy: whether it learns from a replay buffer
    :param has_epsilon: whether it explores by a decaying random fraction (``exploration_rate``)
    :param needs_action_masks: whether the environment must offer ``action_masks()``
    :param ignores_callbacks: whether its loop goes on although a callback returned ``False``
    :param board_buffer: the class in ``board_buffers`` from which it learns games, ``None`` if there is none
    """

    id: str
    module: str
    class_name: str
    action_spaces: tuple[str, ...]
    is_off_policy: bool = False
    has_epsilon: bool = False
    needs_action_masks: bool = False
    ignores_callbacks: bool = False
    board_buffer: str | None = None

    @property
    def can_collect_deterministically(self) -> bool:
        """Whether ``train.deterministic`` means something for it."""
        return self.has_epsilon or not (self.is_off_policy or self.ignores_callbacks)

    def load_class(self) -> type[BaseAlgorithm]:
        """
        Import the algorithm's class, and with it torch, but not torch's compiler.

        :return: the class
        """
        from sb3_ext.internals.torch import defer_compiler

        defer_compiler()
        loaded: type[BaseAlgorithm] = getattr(importlib.import_module(self.module), self.class_name)
        return loaded


_SB3, _CONTRIB = "stable_baselines3", "sb3_contrib"
_ROLLOUT, _REPLAY = "BoardRolloutBuffer", "BoardReplayBuffer"

ALGORITHMS: dict[str, Algorithm] = {
    algorithm.id: algorithm
    for algorithm in (
        Algorithm("ppo", _SB3, "PPO", _ANY_ACTIONS, board_buffer=_ROLLOUT),
        Algorithm("a2c", _SB3, "A2C", _ANY_ACTIONS, board_buffer=_ROLLOUT),
        Algorithm("dqn", _SB3, "DQN", ("Discrete",), is_off_policy=True, has_epsilon=True, board_buffer=_REPLAY),
        Algorithm("sac", _SB3, "SAC", ("Box",), is_off_policy=True),
        Algorithm("td3", _SB3, "TD3", ("Box",), is_off_policy=True),
        Algorithm("ddpg", _SB3, "DDPG", ("Box",), is_off_policy=True),
        Algorithm(
            "maskable_ppo",
            _CONTRIB,
            "MaskablePPO",
            _DISCRETE_ACTIONS,
            needs_action_masks=True,
            board_buffer=f"Maskable{_ROLLOUT}",
        ),
        # Its policy fails in MultiBinary spaces.
        Algorithm("recurrent_ppo", _CONTRIB, "RecurrentPPO", ("Box", "Discrete", "MultiDiscrete")),
        Algorithm(
            "qrdqn", _CONTRIB, "QRDQN", ("Discrete",), is_off_policy=True, has_epsilon=True, board_buffer=_REPLAY
        ),
        Algorithm("tqc", _CONTRIB, "TQC", ("Box",), is_off_policy=True),
        Algorithm("trpo", _CONTRIB, "TRPO", _ANY_ACTIONS, board_buffer=_ROLLOUT),
        Algorithm("ars", _CONTRIB, "ARS", ("Box", "Discrete"), ignores_callbacks=True),
        Algorithm("crossq", _CONTRIB, "CrossQ", ("Box",), is_off_policy=True),
    )
}


MASKED_PREFIX = "masked_"

MASKED_ALGORITHMS: dict[str, Algorithm] = {
    f"{MASKED_PREFIX}{algorithm_id}": replace(
        ALGORITHMS[algorithm_id],
        id=f"{MASKED_PREFIX}{algorithm_id}",
        module="sb3_ext.algorithms.masked_dqn",
        class_name=name,
    )
    for algorithm_id, name in (("dqn", "MaskedDQN"), ("qrdqn", "MaskedQRDQN"))
}
"""What games are learned with in the place of algorithms that know no action masks."""


def mask_algorithm(algorithm: Algorithm) -> Algorithm:
    """
    :param algorithm: what a configuration names
    :return: what learns a game: the same, or the variant that keeps to legal moves
    """
    return MASKED_ALGORITHMS.get(f"{MASKED_PREFIX}{algorithm.id}", algorithm)


def get_algorithm(algorithm_id: str) -> Algorithm:
    """
    :param algorithm_id: a name such as ``ppo``
    :return: its entry
    :raises ConfigError: if there is none, with the nearest name
    """
    try:
        return MASKED_ALGORITHMS.get(algorithm_id) or ALGORITHMS[algorithm_id]
    except KeyError:
        raise ConfigError(
            f"agent.id: unknown algorithm '{algorithm_id}'; {suggest_name(algorithm_id, ALGORITHMS)}"
        ) from None


def find_algorithms_for(action_space_name: str) -> list[str]:
    """
    :param action_space_name: the class name of a Gymnasium space
    :return: ids of the algorithms that can act in it without action masks, in the registry's order
    """
    return [
        algorithm.id
        for algorithm in ALGORITHMS.values()
        if action_space_name in algorithm.action_spaces and not algorithm.needs_action_masks
    ]
