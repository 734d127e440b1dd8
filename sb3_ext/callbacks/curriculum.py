"""Change the environments in stages, from easy to hard for example."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from pydantic import ValidationError

from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.evaluation import EvaluationCallback
from sb3_ext.config.curriculum_schema import StageConfig
from sb3_ext.errors import Sb3ExtError
from sb3_ext.evaluation.evaluate import Evaluation
from sb3_ext.evaluation.stage_rule import StageRule
from sb3_ext.internals.sb3 import reset_environments
from sb3_ext.ranks.rank_group import RankGroup
from sb3_ext.vec.environment_change import EnvironmentChange, change_environments

logger = logging.getLogger(__name__)

_WARN_AFTER_EPISODES = 20


class CurriculumCallback(EpisodeCallback):
    """
    Change the training environments in stages: each begins when a rule holds, and keeps the changes of those before::

        curriculum = CurriculumCallback(
            [
                {"name": "weak", "set": {"force_mag": 5.0}},
                {"name": "medium", "when": {"return": 150}, "set": {"force_mag": 10.0}},
                {"name": "strong", "when": [{"return": 300}, {"steps": 60_000}], "set": {"force_mag": 20.0}},
            ]
        )
        PPO("MlpPolicy", make_vec_env("CartPole-v1", 8)).learn(100_000, callback=curriculum)

    A stage sets attributes (``set``), calls methods with keyword arguments (``call``), or makes each environment again
    with other arguments at the end of its episode (``params``; then each needs a
    :class:`~sb3_ext.vec.RemakeWrapper`). See ``sb3-ext config schema`` for all keys. Stages begin between two rollouts,
    in the middle of episodes. A rule counts episodes that end after the stage before has begun.

    The number of the stage is logged as ``curriculum/stage``; 0 is the environment as it was made. With a
    :class:`~sb3_ext.callbacks.RunCheckpointCallback` a resumed training continues in the same stage. Put this callback
    after the evaluation that it watches, and before checkpoints.

    :param stages: the stages in their order, as in a configuration (``train.curriculum``)
    :param evaluations: for rules with ``by: evaluation``; must come before this callback
    :param group: the ranks that train the model: rank 0 decides for all. ``None`` for this process alone
    :raises ValueError: if a stage is invalid, or a rule needs ``evaluations``
    """

    state_key = "curriculum"

    def __init__(
        self,
        stages: Sequence[StageConfig | Mapping[str, Any]],
        *,
        evaluations: EvaluationCallback | None = None,
        group: RankGroup | None = None,
    ) -> None:
        super().__init__()
        self.stages = [_make_stage(number, stage) for number, stage in enumerate(stages, start=1)]
        if not self.stages:
            raise ValueError("a curriculum needs at least one stage")
        if evaluations is None and (group is None or group.is_leader) and self._watches_evaluations():
            raise ValueError("a rule with by: evaluation needs the argument evaluations")
        #: number of stages that have begun
        self.stage = 0
        #: of each stage that has begun: ``stage``, ``name``, ``step``, ``episode`` and ``reason``
        self.changes: list[dict[str, Any]] = []
        #: called with the number of the stage when training starts, when a stage begins and when it is restored
        self.on_stage: list[Callable[[int], None]] = []
        #: whether due changes wait for :meth:`change_if_due`
        self.is_paused = False
        self._group = group
        self._is_remade = any(stage.params for stage in self.stages)
        self._applied = 0  # stages whose changes the environments have
        self._stage_step = 0
        self._rule = self._make_rule(0)
        self._episodes_without_success = 0
        if evaluations is not None:
            evaluations.on_evaluation.append(self._on_evaluation)

    @property
    def title(self) -> str:
        """The name of the present stage; empty before the first one."""
        return self.stages[self.stage - 1].get_title(self.stage) if self.stage else ""

    def change_if_due(self) -> None:
        """Begin the stages whose rules hold, between two rollouts. All ranks must call this together."""
        if self.is_paused:
            return
        for reason in self._share(self._find_reasons()):
            self._begin(reason)

    def prepare_environments(self, state: dict[str, Any]) -> bool:
        """
        Change new environments like those of a checkpoint, before the state of these is restored.

        :param state: from :meth:`state_dict`
        :return: whether they were changed
        """
        is_behind: bool = self._applied < state["stage"]
        while self._applied < state["stage"]:
            self._apply(self._applied)
        return is_behind

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {
            **super().state_dict(),
            "stage": self.stage,
            "stage_step": self._stage_step,
            "changes": [dict(change) for change in self.changes],
            "rule": self._rule.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        self.stage, self._stage_step = state["stage"], state["stage_step"]
        self.changes = [dict(change) for change in state["changes"]]
        self._rule = self._make_rule(self.stage)
        self._rule.load_state_dict(state["rule"])
        self._report()

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._report()

    def _on_rollout_start(self) -> None:
        super()._on_rollout_start()
        self.change_if_due()

    def _on_rollout_end(self) -> None:
        super()._on_rollout_end()
        self.logger.record("curriculum/stage", self.stage)

    def _on_episode(self, episode_return: float | None, episode_length: int | None, info: dict[str, Any]) -> None:
        if episode_return is None and self._rule.needs("return"):
            raise ValueError(
                "a curriculum needs the returns of training episodes, but the environments have no monitor: wrap each "
                "in a Monitor, or all in a VecMonitor"
            )
        success = info.get("is_success")
        if success is None and self._rule.needs("success_rate"):
            self._episodes_without_success += 1
            if self._episodes_without_success == _WARN_AFTER_EPISODES:
                logger.warning(
                    "curriculum: stage %d waits for a success rate, but no episode has is_success in its last info",
                    self.stage + 1,
                )
        self._rule.add_episode(episode_return, None if success is None else float(success))

    def _on_evaluation(self, step: int, evaluation: Evaluation) -> None:
        self._rule.add_evaluation(evaluation.mean_return, evaluation.success_rate)

    def _find_reasons(self) -> list[str]:
        """:return: why each of the stages begins that are due now"""
        step = self.model.num_timesteps
        reasons: list[str] = []
        rule, stage_steps = self._rule, step - self._stage_step
        while self.stage + len(reasons) < len(self.stages):
            reason = rule.explain(step, stage_steps)
            if reason is None:
                break
            reasons.append(reason)
            rule, stage_steps = self._make_rule(self.stage + len(reasons)), 0
        return reasons

    def _share(self, reasons: list[str]) -> list[str]:
        """:return: the reasons of rank 0"""
        group = self._group
        if group is None or group.size == 1:
            return reasons
        count = torch.tensor([float(len(reasons)) if group.is_leader else 0.0])
        group.sum(count)
        if count.item() == 0:
            return []
        shared: list[str] = group.gather(reasons)[0]
        return shared

    def _begin(self, reason: str) -> None:
        step = self.model.num_timesteps
        self._apply(self.stage)
        if not self.stages[self.stage].conditions:
            reset_environments(self.model)  # the first episodes begin in this stage, too
        self.stage += 1
        self._stage_step = step
        self._rule = self._make_rule(self.stage)
        self._episodes_without_success = 0
        found = {"stage": self.stage, "name": self.title, "step": step, "episode": self.episodes, "reason": reason}
        self.changes.append(found)
        logger.info(
            "curriculum: stage %d of %d (%s) begins at step %d: %s",
            *(self.stage, len(self.stages), self.title, step, reason),
        )
        self._report()

    def _apply(self, index: int) -> None:
        stage = self.stages[index]
        change = EnvironmentChange(stage.attributes, stage.calls, stage.params)
        try:
            change_environments(self.training_env, change, remade=self._is_remade)
        except AttributeError as error:
            hint = "; stages with params need a RemakeWrapper around each environment" if self._is_remade else ""
            raise Sb3ExtError(
                f"curriculum: the environments cannot be changed for {stage.get_title(index + 1)}: {error}{hint}"
            ) from error
        self._applied = index + 1

    def _make_rule(self, index: int) -> StageRule:
        """:return: the rule of the stage with this index; that of no stage after the last"""
        return StageRule(self.stages[index].conditions if index < len(self.stages) else [])

    def _watches_evaluations(self) -> bool:
        return any(condition.by == "evaluation" for stage in self.stages for condition in stage.conditions)

    def _report(self) -> None:
        for listener in self.on_stage:
            listener(self.stage)


def _make_stage(number: int, stage: StageConfig | Mapping[str, Any]) -> StageConfig:
    if isinstance(stage, StageConfig):
        made = stage
    else:
        try:
            made = StageConfig.model_validate(stage)
        except ValidationError as error:
            found = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in found["loc"] if not str(part).startswith("<"))
            message = found["msg"].removeprefix("Value error, ")
            raise ValueError(f"stage {number}: {place + ': ' if place else ''}{message}") from None
    if number > 1 and not made.conditions:
        raise ValueError(f"stage {number}: when is required; only the first stage can begin from the start")
    return made
