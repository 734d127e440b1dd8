"""Decay the exploration rate geometrically."""

from __future__ import annotations

from typing import Any, Literal

from stable_baselines3.common.utils import ConstantSchedule

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.errors import Sb3ExtError
from sb3_ext.ranges import Fraction, PositiveFraction


class EpsilonDecayCallback(EpisodeCallback):
    """
    Multiply the exploration rate of DQN or QR-DQN by a factor at every step, or after every episode.

    It replaces the algorithm's own linear schedule and starts from its ``exploration_initial_eps``: after ``n`` steps
    (environment transitions, those of the warm-up included) or episodes the rate is
    ``max(min, exploration_initial_eps * decay ** n)``. The model keeps the last rate when training ends.

    :param every: when the rate is multiplied by ``decay``
    :param decay: factor
    :param min: lower bound of the rate
    :raises ValueError: if a number is out of its range
    """

    state_key = "epsilon_decay"
    model: Any

    @validate_arguments
    def __init__(
        self, every: Literal["step", "episode"] = "step", decay: PositiveFraction = 0.9995, min: Fraction = 0.05
    ) -> None:
        super().__init__()
        self._every = every
        self._decay = decay
        self._min = min
        self._has_started = False

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        if self._has_started:
            self._set_rate()

    def _init_callback(self) -> None:
        if not hasattr(self.model, "exploration_schedule"):
            raise Sb3ExtError(
                "epsilon_decay needs an algorithm that explores by an exploration rate, DQN or QR-DQN, "
                f"but got {type(self.model).__name__}"
            )

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._has_started = True
        self._set_rate()

    def _on_step(self) -> bool:
        super()._on_step()
        self._set_rate()
        return True

    def _set_rate(self) -> None:
        count = self.num_timesteps if self._every == "step" else self.episodes
        rate = max(self._min, self.model.exploration_initial_eps * self._decay**count)
        # The algorithm computes the one from the other, but not before the first action. The schedule is one of SB3's
        # own classes, since SB3 pickles it into model.zip.
        self.model.exploration_rate = rate
        self.model.exploration_schedule = ConstantSchedule(rate)
