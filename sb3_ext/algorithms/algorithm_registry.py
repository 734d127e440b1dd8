"""The algorithms by their names in a configuration. Importing this module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sb3_ext.arguments import import_name
from sb3_ext.errors import ConfigError
from sb3_ext.extensions import Registry

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

_ANY_ACTIONS = ("Box", "Discrete", "MultiDiscrete", "MultiBinary")
_DISCRETE_ACTIONS = ("Discrete", "MultiDiscrete", "MultiBinary")


@dataclass(frozen=True)
class Algorithm:
    """
    Properties of an algorithm that are known without importing it.

    :param id: its name in a configuration
    :param module: the module that exports its class
    :param class_name: the name of its class there
    :param action_spaces: class names of the Gymnasium spaces that it can act in
    :param is_off_policy: whether it learns from a replay buffer
    :param has_epsilon: whether it explores by a decaying random fraction (``exploration_rate``)
    :param needs_action_masks: whether the environment must offer ``action_masks()``
    :param ignores_callbacks: whether its training loop ignores, or may ignore, a callback that returns ``False``
    :param board_buffer: its buffer for games, a class in ``board_buffers`` or ``lookahead_buffers``; ``None`` if there
        is none
    :param observes_masks: whether its observations of a game contain the legal moves
    :param base: id of the built-in algorithm that a user's class is derived from, ``None`` if there is none
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
    observes_masks: bool = False
    base: str | None = None

    @property
    def family(self) -> str:
        """The id of the built-in algorithm that it is or is derived from; its own id if there is none."""
        return self.base or self.id

    @property
    def can_collect_deterministically(self) -> bool:
        """Whether it supports ``train.deterministic``."""
        return self.has_epsilon or not (self.is_off_policy or self.ignores_callbacks)

    def load_class(self) -> type[BaseAlgorithm]:
        """
        Import the algorithm's class, and with it torch without torch's compiler.

        :return: the class
        """
        from sb3_ext.internals.torch import defer_compiler

        defer_compiler()
        loaded: type[BaseAlgorithm] = import_name(f"{self.module}:{self.class_name}")
        return loaded


_SB3, _CONTRIB = "stable_baselines3", "sb3_contrib"
_ROLLOUT, _REPLAY = "BoardRolloutBuffer", "BoardReplayBuffer"

ALGORITHMS: dict[str, Algorithm] = {
    algorithm.id: algorithm
    for algorithm in (
        Algorithm("ppo", _SB3, "PPO", _ANY_ACTIONS, board_buffer=_ROLLOUT),
        Algorithm("a2c", _SB3, "A2C", _ANY_ACTIONS, board_buffer=_ROLLOUT),
        Algorithm(
            "dqn",
            _SB3,
            "DQN",
            ("Discrete",),
            is_off_policy=True,
            has_epsilon=True,
            board_buffer=_REPLAY,
            observes_masks=True,
        ),
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
            "qrdqn",
            _CONTRIB,
            "QRDQN",
            ("Discrete",),
            is_off_policy=True,
            has_epsilon=True,
            board_buffer=_REPLAY,
            observes_masks=True,
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
"""Variants for games of algorithms that do not support action masks."""

LOOKAHEAD_PREFIX = "lookahead_"
LOOKAHEAD_TEMPERATURE = 0.2
"""Default of the temperature of move values; a win is worth 1."""

LOOKAHEAD_ALGORITHMS: dict[str, Algorithm] = {
    f"{LOOKAHEAD_PREFIX}{algorithm_id}": replace(
        ALGORITHMS[algorithm_id],
        id=f"{LOOKAHEAD_PREFIX}{algorithm_id}",
        module="sb3_ext.algorithms.lookahead_ppo",
        class_name=name,
        board_buffer=buffer,
    )
    for algorithm_id, name, buffer in (
        ("ppo", "LookaheadPPO", "LookaheadRolloutBuffer"),
        ("maskable_ppo", "LookaheadMaskablePPO", "MaskableLookaheadRolloutBuffer"),
    )
}
"""Variants for games that look one move ahead."""

BUILT_IN: dict[str, Algorithm] = {**ALGORITHMS, **MASKED_ALGORITHMS, **LOOKAHEAD_ALGORITHMS}
"""All algorithms of SB3, of sb3-contrib and of this package."""


def choose_game_algorithm(algorithm: Algorithm, *, looks_ahead: bool) -> Algorithm:
    """
    :param algorithm: named by a configuration
    :param looks_ahead: whether it learns from a lookahead; it must have a variant that does
    :return: the algorithm that learns a game: the same, its variant that takes only legal moves, or the one that looks
        ahead
    """
    if looks_ahead:
        return LOOKAHEAD_ALGORITHMS[f"{LOOKAHEAD_PREFIX}{algorithm.id}"]
    return MASKED_ALGORITHMS.get(f"{MASKED_PREFIX}{algorithm.id}", algorithm)


ALGORITHM_NAMES = Registry(
    "algorithm",
    {name: f"{algorithm.module}:{algorithm.class_name}" for name, algorithm in ALGORITHMS.items()},
    "sb3_ext.algorithms",
)
"""Every algorithm that a configuration can name."""


def get_algorithm(algorithm_id: str) -> Algorithm:
    """
    Return the properties of an algorithm. One that is not built in is imported, and with it torch.

    :param algorithm_id: a built-in id such as ``ppo``, a name that an installed package registers, or ``module:Name``
    :return: its properties; a class that is not built in has those of its nearest built-in base class
    :raises ConfigError: if it does not exist, with the nearest name
    """
    if algorithm_id in ALGORITHMS:
        return ALGORITHMS[algorithm_id]
    from stable_baselines3.common.base_class import BaseAlgorithm

    from sb3_ext.internals.torch import defer_compiler

    defer_compiler()
    try:
        found = ALGORITHM_NAMES.load_subclass(algorithm_id, BaseAlgorithm)
        module, _, name = ALGORITHM_NAMES.find(algorithm_id).partition(":")
    except LookupError as error:
        raise ConfigError(f"agent.id: {error}") from error
    return replace(_derive(found), id=algorithm_id, module=module, class_name=name)


def find_algorithm_of(algorithm_class: type[Any]) -> Algorithm | None:
    """
    :param algorithm_class: any class
    :return: the built-in algorithm, or variant for games, of exactly this class; ``None`` if there is none
    """
    for algorithm in BUILT_IN.values():
        is_there = f"{algorithm_class.__module__}.".startswith(f"{algorithm.module}.")
        if is_there and algorithm_class.__name__ == algorithm.class_name:
            return algorithm
    return None


def _derive(algorithm_class: type[BaseAlgorithm]) -> Algorithm:
    """Return the properties of the nearest built-in base class; without one, those that assume least."""
    from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

    for base_class in algorithm_class.__mro__:
        base = find_algorithm_of(base_class)
        if base is not None:
            has_masks = base.id in MASKED_ALGORITHMS
            # Of DQN and QR-DQN, only the masked variants read masks and boards.
            board_buffer = base.board_buffer if has_masks or not base.observes_masks else None
            return replace(base, base=base.id, observes_masks=has_masks, board_buffer=board_buffer)
    is_off_policy = issubclass(algorithm_class, OffPolicyAlgorithm)
    ignores_callbacks = not (is_off_policy or issubclass(algorithm_class, OnPolicyAlgorithm))
    return Algorithm("", "", "", _ANY_ACTIONS, is_off_policy=is_off_policy, ignores_callbacks=ignores_callbacks)


def find_algorithms_for(action_space_name: str) -> list[str]:
    """
    :param action_space_name: the class name of a Gymnasium space
    :return: ids of the built-in algorithms that can act in it without action masks, in the registry's order
    """
    return [
        algorithm.id
        for algorithm in ALGORITHMS.values()
        if action_space_name in algorithm.action_spaces and not algorithm.needs_action_masks
    ]
