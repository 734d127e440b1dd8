"""Decay the learning rate in steps."""

from __future__ import annotations

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import recursive_getattr
from stable_baselines3.common.utils import FloatSchedule
from torch.optim import Optimizer

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.light_callback import LightCallback
from sb3_ext.errors import Sb3ExtError
from sb3_ext.internals.sb3 import get_torch_names
from sb3_ext.ranges import NonNegative, PositiveFraction, PositiveInt


class LearningRateDecayCallback(LightCallback):
    """
    Multiply the learning rate by a factor at a fixed interval of steps, down to a minimum.

    After ``n`` environment transitions the rate is
    ``max(min_lr, initial * decay_factor ** (n // interval_steps))``, where ``initial`` is the learning rate of the
    algorithm (the first value of a schedule). SB3 sets the rate of all optimizers of a model at every update from
    ``model.lr_schedule``; this callback replaces that schedule.

    :param interval_steps: environment transitions from one decay to the next
    :param decay_factor: factor
    :param min_lr: lower bound of the rate
    :param optimizer_attr: attribute of the model that has the optimizer whose rate is logged: ``policy.optimizer`` for
        PPO, A2C, TRPO and DQN, ``actor.optimizer`` or ``critic.optimizer`` for SAC, TD3, DDPG, TQC and CrossQ;
        ``None`` logs no rate, as for ARS, which has no optimizer
    :param metric_key: logged as ``train/<metric_key>``
    :raises ValueError: if a number is out of its range
    """

    @validate_arguments
    def __init__(
        self,
        interval_steps: PositiveInt,
        decay_factor: PositiveFraction = 0.5,
        min_lr: NonNegative = 1e-6,
        optimizer_attr: str | None = "policy.optimizer",
        metric_key: str = "learning_rate",
    ) -> None:
        super().__init__()
        self._interval_steps = interval_steps
        self._decay_factor = decay_factor
        self._min_lr = min_lr
        self._optimizer_attr = optimizer_attr
        self._optimizer: Optimizer | None = None
        self._metric_key = metric_key

    def _init_callback(self) -> None:
        if self._optimizer_attr is not None:
            self._optimizer = _find_optimizer(self.model, self._optimizer_attr)

    def _on_training_start(self) -> None:
        self._set_rate()

    def _on_rollout_start(self) -> None:
        if self._optimizer is not None:
            self.logger.record(f"train/{self._metric_key}", self._optimizer.param_groups[0]["lr"])

    def _on_rollout_end(self) -> None:
        self._set_rate()

    def _set_rate(self) -> None:
        initial = FloatSchedule(self.model.learning_rate)(1.0)
        decays = self.model.num_timesteps // self._interval_steps
        # One of SB3's own classes, since SB3 pickles it into model.zip.
        self.model.lr_schedule = FloatSchedule(max(self._min_lr, initial * self._decay_factor**decays))


def _find_optimizer(model: BaseAlgorithm, attribute: str) -> Optimizer:
    try:
        optimizer = recursive_getattr(model, attribute)
    except AttributeError:
        optimizer = None
    if isinstance(optimizer, Optimizer):
        return optimizer
    names = [name for name in get_torch_names(model)[0] if isinstance(recursive_getattr(model, name), Optimizer)]
    raise Sb3ExtError(
        f"lr_decay: {type(model).__name__} has no optimizer at optimizer_attr '{attribute}'; "
        + (f"its optimizers are at {', '.join(names)}" if names else "it has none: give null")
    )
