"""Evaluate the model at intervals, in separate environments."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.bases.stop_callback import StopCallback
from sb3_ext.callbacks.measures.stopwatch import Stopwatch
from sb3_ext.config.evaluation_schema import EvalConfig
from sb3_ext.evaluation.background import BackgroundEvaluator
from sb3_ext.evaluation.evaluate import Evaluation
from sb3_ext.evaluation.evaluators import EvaluationSettings, Evaluator, ForegroundEvaluator
from sb3_ext.evaluation.plain_env import AnyEnv
from sb3_ext.interruption import NEVER, Interruption, StopRequested
from sb3_ext.phases import Phases
from sb3_ext.ranges import PositiveInt, Seed
from sb3_ext.reports.evaluations import append_evaluation, rewind_evaluations
from sb3_ext.triggers import EveryEpisodes, EverySteps

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from sb3_ext.selfplay.positions.position_exam import PositionExam

_DEFAULTS = EvalConfig()

_RIGHT_MOVES = {"right_moves": "share", "right_moves_where_it_matters": "share_where_it_matters"}
"""Names in the log, and in the evaluation."""


class EvaluationCallback(EpisodeCallback):
    """
    Evaluate the model between two rollouts, in the state that a checkpoint captures there.

    Evaluations do not change the results of training: they share no random numbers, statistics or environments with it.
    Results are written to ``path``, logged as ``eval/…``, and passed to ``on_evaluation``. Call :meth:`finish` after
    ``learn`` for the final evaluation, and :meth:`close` at the end.

    With ``background=True``, a copy of the model is evaluated in another process during training, with the same
    results, which arrive between later rollouts. Only one model is evaluated at a time: an evaluation that is due
    before the last one has ended waits, and then evaluates the model of that time. Errors are logged, and training
    continues.

    :param env: separate environments or a single one, as for SB3's ``EvalCallback``, or a function that makes them. If
        training has a ``VecNormalize``, they need one too; it uses the statistics of training without updating them
    :param every_steps: environment transitions between two evaluations; ``None`` for none by steps
    :param every_episodes: finished training episodes between two evaluations; ``None`` for none by episodes
    :param episodes: number of episodes per evaluation
    :param name: name of this evaluation in the log (``eval/NAME/…``) and in checkpoints, if there are several; ``None``
        for the first
    :param info_keys: numbers in ``info`` at the end of an episode whose means are logged as ``eval/info/KEY``
    :param deterministic: take the most likely action instead of sampling
    :param at_start: also evaluate the untrained model, at step 0
    :param at_end: evaluate in :meth:`finish`, unless the last evaluation was at the same step
    :param seed: seed with which every evaluation repeats the same episodes; ``None`` for new episodes
    :param max_steps: truncate episodes after this many steps; ``None`` does not truncate
    :param exam: positions of a game in which every evaluation counts right moves; ``None`` for none
    :param stops: callbacks that end training, such as ``TimeBudgetCallback`` and ``StopFileCallback``; they also abort
        an evaluation before its next step, without a result
    :param path: JSON Lines file to append to; ``None`` writes none
    :param phases: phases in which to enter ``evaluating``; ``None`` for none
    :param background: evaluate in another process; ``env`` must be a function that cloudpickle can serialize
    :param capture: with ``background``, a function that saves the model and returns the path of its ``model.zip``,
        which must exist until the evaluation has ended; by default a temporary file is saved
    :raises ValueError: if a number is out of its range, or ``background`` is given without a function
    """

    state_key = "evaluation"

    @validate_arguments
    def __init__(
        self,
        env: AnyEnv | Callable[[], AnyEnv],
        *,
        every_steps: PositiveInt | None = _DEFAULTS.every_steps,
        every_episodes: PositiveInt | None = None,
        episodes: PositiveInt = _DEFAULTS.episodes,
        name: str | None = None,
        info_keys: Sequence[str] = (),
        deterministic: bool = _DEFAULTS.deterministic,
        at_start: bool = False,
        at_end: bool = True,
        seed: Seed | None = None,
        max_steps: PositiveInt | None = _DEFAULTS.max_steps,
        exam: PositionExam | None = None,
        stops: Sequence[StopCallback] = (),
        path: Path | str | None = None,
        phases: Phases | None = None,
        background: bool = _DEFAULTS.background,
        capture: Callable[[], Path] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(env, VecEnv | gymnasium.Env) and not callable(env):
            raise ValueError(
                "env must be a VecEnv, a Gymnasium environment, or a function that makes one of them, such as "
                f"lambda: make_vec_env('CartPole-v1', 8), but got {env!r}"
            )
        #: called with the step of the evaluated model, and the evaluation
        self.on_evaluation: list[Callable[[int, Evaluation], None]] = []
        #: called with the step of an evaluation that failed in the other process
        self.on_failure: list[Callable[[int], None]] = []
        #: whether due evaluations wait for :meth:`evaluate_if_due`
        self.is_paused = False
        #: the highest mean return of an evaluation so far, including those before a resume
        self.best_return: float | None = None
        #: the step of the evaluation with the highest mean return
        self.best_step: int | None = None
        if name is not None:
            self.state_key = f"evaluation/{name}"
        self._name = name
        self._info_keys = tuple(info_keys)
        settings = EvaluationSettings(episodes, deterministic, seed, max_steps, exam, self._info_keys)
        self._evaluator: Evaluator
        if not background:
            self._evaluator = ForegroundEvaluator(env, settings)
        elif isinstance(env, VecEnv | gymnasium.Env):
            raise ValueError(
                f"background evaluation needs a function that makes the environments, but got a {type(env).__name__}"
            )
        else:
            self._evaluator = BackgroundEvaluator(env, settings, capture)
        self._step_trigger = None if every_steps is None else EverySteps(every_steps)
        self._episode_trigger = None if every_episodes is None else EveryEpisodes(every_episodes)
        self._at_start = at_start
        self._at_end = at_end
        self._path = None if path is None else Path(path)
        self._phases = phases
        self._stopwatch = Stopwatch()
        self._interruption = Interruption(*(stop.find_reason_between_rollouts for stop in stops))
        self._has_warned_of_truncation = self._has_warned_of_info = False
        self._is_due = False
        self._last_step: int | None = None
        self._last_elapsed_seconds = 0.0

    def is_final_due(self, step: int) -> bool:
        """
        :param step: step at which training has ended
        :return: whether :meth:`finish` evaluates the final model, or waits for an evaluation
        """
        return self._evaluator.is_busy or (self._at_end and self._last_step != step)

    def replace_env(self, make_env: Callable[[], AnyEnv]) -> None:
        """
        Evaluate in other environments from now on, not with ``background``.

        :param make_env: makes them; those before are closed if they were made here
        """
        assert isinstance(self._evaluator, ForegroundEvaluator), "another process keeps its environments"
        self._evaluator.replace_env(make_env)

    def evaluate_if_due(self) -> None:
        """Evaluate between two rollouts if an evaluation is due and none is pending."""
        if self._is_due and not self._evaluator.is_busy:
            with self._evaluating():
                try:
                    self._submit(self._interruption)
                except StopRequested as stop:
                    logger.info("evaluation at step %d: not finished: %s", self.model.num_timesteps, stop.reason)
                self._receive()

    def finish(self, interruption: Interruption = NEVER) -> None:
        """
        Evaluate the final model if ``at_end``, and wait for a pending evaluation.

        :param interruption: may abort the evaluation; ``stops`` do not, since one of them may have ended training
        :raises StopRequested: if ``interruption`` requests it
        """
        with self._evaluating():
            self._receive(None, interruption)
            if self._at_end and self._last_step != self.model.num_timesteps:
                self._submit(interruption)
                self._receive(None, interruption)

    def close(self) -> None:
        """End the other process at once, and close the environments if they were made here."""
        self._evaluator.close()

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {
            **super().state_dict(),
            "step": self.model.num_timesteps,
            **self._stopwatch.state_dict(),
            "is_due": self._is_due or self._evaluator.is_busy,  # a pending evaluation is lost
            "last_step": self._last_step,
            "best_return": self.best_return,
            "best_step": self.best_step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`. Evaluations of later steps are removed from the file."""
        super().load_state_dict(state)
        self._stopwatch.load_state_dict(state)
        self._is_due = state["is_due"]
        self._last_step = state["last_step"]
        self.best_return = state["best_return"]
        self.best_step = state["best_step"]
        self._skip_triggers_to(state["step"])
        if self._path is not None:
            rewind_evaluations(self._path, state["step"])

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._stopwatch.start()
        self._skip_triggers_to(self.num_timesteps)
        self._is_due = self._is_due or (self._at_start and self.num_timesteps == 0)
        self._evaluator.start(self.model)

    def _on_rollout_start(self) -> None:
        super()._on_rollout_start()
        self._receive()
        by_steps = self._step_trigger is not None and self._step_trigger.is_due(self.model.num_timesteps)
        by_episodes = self._episode_trigger is not None and self._episode_trigger.is_due(self.episodes)
        self._is_due = self._is_due or by_steps or by_episodes
        if not self.is_paused:
            self.evaluate_if_due()

    def _submit(self, interruption: Interruption) -> None:
        step, elapsed_seconds = self.model.num_timesteps, self._stopwatch.elapsed_seconds
        earlier = self._last_step, self._last_elapsed_seconds
        self._is_due = False
        self._last_step, self._last_elapsed_seconds = step, elapsed_seconds
        try:
            self._evaluator.submit(self.model, interruption)
        except StopRequested:
            self._is_due = True
            self._last_step, self._last_elapsed_seconds = earlier
            raise

    def _receive(self, timeout_seconds: float | None = 0.0, interruption: Interruption = NEVER) -> None:
        outcome = self._evaluator.receive(timeout_seconds, interruption)
        if outcome is None:
            return
        assert self._last_step is not None
        if isinstance(outcome, str):
            logger.warning("the evaluation of step %d failed; training continues: %s", self._last_step, outcome)
            for failure_listener in self.on_failure:
                failure_listener(self._last_step)
        else:
            self._report(self._last_step, outcome)

    def _report(self, step: int, evaluation: Evaluation) -> None:
        mean, spread, truncated = evaluation.mean_return, evaluation.std_return, evaluation.truncated_episodes
        note = f"; {truncated} of {evaluation.episodes} episodes truncated" if truncated else ""
        where = "" if self._name is None else f" ({self._name})"
        logger.info("evaluation at step %d%s: return %.2f ± %.2f%s", step, where, mean, spread, note)
        self._warn_of_missing_info(evaluation)
        if evaluation.right_moves is not None:
            shares = (evaluation.right_moves[name] or 0.0 for name in _RIGHT_MOVES.values())
            logger.info("right moves: %.1f %%, where the choice matters %.1f %%", *(100 * share for share in shares))
        if truncated and not self._has_warned_of_truncation:
            self._has_warned_of_truncation = True
            logger.warning(
                "evaluation at step %d: %d of %d episodes had not ended after %d steps, and were truncated (max_steps "
                "of the evaluation); if this environment never ends them, env.max_steps does so in training, too",
                *(step, truncated, evaluation.episodes, max(evaluation.lengths)),
            )
        if not math.isnan(mean) and (self.best_return is None or mean > self.best_return):
            self.best_return, self.best_step = mean, step
        if self._path is not None:
            line = {"step": step, "elapsed_seconds": self._last_elapsed_seconds, **evaluation.to_json()}
            try:
                append_evaluation(self._path, line)
            except OSError as error:
                # A full disk must not end training.
                logger.warning("%s cannot be written; only the log has this evaluation: %s", self._path, error.strerror)
        self._log(step, evaluation)
        for listener in self.on_evaluation:
            listener(step, evaluation)

    def _warn_of_missing_info(self, evaluation: Evaluation) -> None:
        missing = [key for key in self._info_keys if key not in evaluation.info]
        if missing and not self._has_warned_of_info:
            self._has_warned_of_info = True
            logger.warning("no number in info at the end of any episode of the evaluation: %s", ", ".join(missing))

    def _log(self, step: int, evaluation: Evaluation) -> None:
        # A separate logger with the same outputs: the model's has values that wait for its next dump.
        log = Logger(folder=None, output_formats=self.logger.output_formats)
        log.set_level(self.logger.level)
        log.record("time/total_timesteps", step, exclude="tensorboard")
        prefix = "eval" if self._name is None else f"eval/{self._name}"
        log.record(f"{prefix}/mean_return", evaluation.mean_return)
        log.record(f"{prefix}/std_return", evaluation.std_return)
        log.record(f"{prefix}/mean_length", evaluation.mean_length)
        if evaluation.success_rate is not None:
            log.record(f"{prefix}/success_rate", evaluation.success_rate)
        if evaluation.truncated_episodes:
            log.record(f"{prefix}/truncated_episodes", evaluation.truncated_episodes)
        if evaluation.right_moves is not None:
            _log_right_moves(log, evaluation.right_moves, prefix)
        for key, value in evaluation.info_means.items():
            log.record(f"{prefix}/info/{key}", value)
        log.dump(step)

    def _skip_triggers_to(self, step: int) -> None:
        if self._step_trigger is not None:
            self._step_trigger.skip_to(step)
        if self._episode_trigger is not None:
            self._episode_trigger.skip_to(self.episodes)

    def _evaluating(self) -> AbstractContextManager[None]:
        return nullcontext() if self._phases is None else self._phases.during("evaluating")


def _log_right_moves(log: Logger, shares: Mapping[str, Any], prefix: str) -> None:
    for part, share in _RIGHT_MOVES.items():
        places = {part: shares, **{f"{part}/{cell}": found for cell, found in shares["cells"].items()}}
        for name, found in places.items():
            if found[share] is not None:
                log.record(f"{prefix}/{name.replace(' ', '_')}", found[share])
