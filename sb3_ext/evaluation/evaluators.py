"""Evaluate during training in the same process; for another process, see :mod:`~sb3_ext.evaluation.background`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import gymnasium
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from sb3_ext.config.evaluation_schema import EvalConfig
from sb3_ext.evaluation.copied_normalization import copy_statistics, set_statistics
from sb3_ext.evaluation.evaluate import Evaluation, evaluate
from sb3_ext.evaluation.isolation import Isolation
from sb3_ext.evaluation.plain_env import AnyEnv, wrap_plain_env
from sb3_ext.interruption import NEVER, Interruption

if TYPE_CHECKING:
    from sb3_ext.selfplay.positions.position_exam import PositionExam

_DEFAULTS = EvalConfig()


@dataclass(frozen=True)
class EvaluationSettings:
    """
    Settings of the evaluations during a training.

    :param episodes: number of episodes per evaluation; positive
    :param deterministic: take the most likely action instead of sampling
    :param seed: seed with which every evaluation repeats the same episodes; ``None`` for new episodes
    :param max_steps: truncate episodes after this many steps; ``None`` does not truncate
    :param exam: positions of a game in which right moves are counted; ``None`` for none
    :param info_keys: numbers in ``info`` at the end of an episode to collect
    :raises ValueError: if ``episodes`` or ``max_steps`` is not positive
    """

    episodes: int = _DEFAULTS.episodes
    deterministic: bool = _DEFAULTS.deterministic
    seed: int | None = None
    max_steps: int | None = _DEFAULTS.max_steps
    exam: PositionExam | None = None
    info_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ValueError(f"episodes must be positive, but got {self.episodes}")
        if self.max_steps is not None and self.max_steps < 1:
            raise ValueError(f"max_steps must be positive, but got {self.max_steps}")

    def evaluate(self, model: BaseAlgorithm, env: VecEnv, interruption: Interruption = NEVER) -> Evaluation:
        """
        :param model: see :func:`~sb3_ext.evaluation.evaluate.evaluate`
        :param env: see :func:`~sb3_ext.evaluation.evaluate.evaluate`
        :param interruption: checked before each step
        :return: the statistics
        :raises StopRequested: if ``interruption`` requests it
        """
        evaluation = evaluate(
            model,
            env,
            self.episodes,
            deterministic=self.deterministic,
            seed=self.seed,
            max_steps=self.max_steps,
            info_keys=self.info_keys,
            interruption=interruption,
        )
        if self.exam is None:
            return evaluation
        quality = self.exam.measure(model.policy, unwrap_vec_normalize(env))
        return replace(evaluation, right_moves=quality.to_json())


class Evaluator(Protocol):
    """Evaluates one model at a time, with the normalisation statistics of training at the time of :meth:`submit`."""

    @property
    def is_busy(self) -> bool:
        """Whether a model was submitted whose outcome has not been received."""

    def start(self, model: BaseAlgorithm) -> None:
        """
        Create the environments and processes, so that errors are raised before training.

        :param model: the model that will be trained
        """

    def submit(self, model: BaseAlgorithm, interruption: Interruption = NEVER) -> None:
        """
        Evaluate the model in its current state. The previous outcome must have been received.

        :param model: the model, between two rollouts
        :param interruption: may abort an evaluation in this process, which then has no outcome
        :raises StopRequested: if ``interruption`` requests it
        """

    def receive(
        self, timeout_seconds: float | None = 0.0, interruption: Interruption = NEVER
    ) -> Evaluation | str | None:
        """
        :param timeout_seconds: how long to wait for the outcome; ``None`` for no limit
        :param interruption: may end the waiting
        :return: the evaluation, or an error message; ``None`` if it has not ended yet, or nothing was submitted
        :raises StopRequested: if ``interruption`` requests it
        """

    def close(self) -> None:
        """Close everything that was created here. Further calls do nothing."""


class ForegroundEvaluator:
    """
    An :class:`Evaluator` in this process: training waits for the evaluation, and errors are raised.

    :param env: environments or a single one, which the caller closes; or a function that makes them
    :param settings: settings of the evaluations
    """

    def __init__(self, env: AnyEnv | Callable[[], AnyEnv], settings: EvaluationSettings) -> None:
        self._make_env: Callable[[], AnyEnv] | None = None
        self._env: VecEnv | None = None
        if isinstance(env, VecEnv | gymnasium.Env):
            self._env = wrap_plain_env(env)
        else:
            self._make_env = env
        self._settings = settings
        self._evaluation: Evaluation | None = None

    @property
    def is_busy(self) -> bool:
        """See :class:`Evaluator`."""
        return self._evaluation is not None

    def start(self, model: BaseAlgorithm) -> None:
        """See :class:`Evaluator`."""
        self._provide_env(model)

    def submit(self, model: BaseAlgorithm, interruption: Interruption = NEVER) -> None:
        """See :class:`Evaluator`."""
        env = self._provide_env(model)
        set_statistics(env, copy_statistics(model.get_vec_normalize_env()))
        self._evaluation = self._settings.evaluate(model, env, interruption)

    def receive(self, timeout_seconds: float | None = 0.0, interruption: Interruption = NEVER) -> Evaluation | None:
        """See :class:`Evaluator`."""
        evaluation, self._evaluation = self._evaluation, None
        return evaluation

    def replace_env(self, make_env: Callable[[], AnyEnv]) -> None:
        """
        Use other environments from the next evaluation on.

        :param make_env: function that makes them
        """
        self.close()
        self._make_env, self._env = make_env, None

    def close(self) -> None:
        """See :class:`Evaluator`."""
        if self._make_env is not None and self._env is not None:
            self._env.close()
            self._env = None

    def _provide_env(self, model: BaseAlgorithm) -> VecEnv:
        if self._env is None:
            assert self._make_env is not None
            # Making environments may draw global random numbers: SB3's make_vec_env does.
            with Isolation(model, seed=self._settings.seed, num_envs=1):
                self._env = wrap_plain_env(self._make_env())
        return self._env
