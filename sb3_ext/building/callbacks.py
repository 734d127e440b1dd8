"""Make the callbacks of a run: reports, evaluations, stop conditions, and those of the user."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stable_baselines3.common.callbacks import BaseCallback

from sb3_ext.arguments import read_parameters
from sb3_ext.building.budgets import explain_inexact_schedules, follows_time
from sb3_ext.building.game_environments import EVAL_OPENING_PLIES, compute_eval_shares
from sb3_ext.building.stages import make_curriculum
from sb3_ext.building.training_environments import choose_eval_seed, make_eval_env, try_exactness
from sb3_ext.callbacks import (
    BenchmarkCallback,
    ConvergenceStopCallback,
    CurriculumCallback,
    DataParallelCallback,
    DeterministicCollectionCallback,
    EpisodeBudgetCallback,
    EpisodeLoggingCallback,
    EvaluationCallback,
    HeartbeatCallback,
    LookaheadCallback,
    MetricsCallback,
    NanStopCallback,
    OpponentPoolCallback,
    PhaseCallback,
    PlateauStopCallback,
    ProgressCallback,
    QValuesCallback,
    RankPartCallback,
    RatingCallback,
    RunCheckpointCallback,
    SharedStopCallback,
    SignalStopCallback,
    StopCallback,
    StopFileCallback,
    TimeBudgetCallback,
    TimingsCallback,
    TrialPruningCallback,
)
from sb3_ext.callbacks.stops.boundary_stop import BoundaryStopCallback
from sb3_ext.callbacks.stops.signal_stop import ReceivesSignals
from sb3_ext.callbacks.stops.trial_pruning import PrunableTrial
from sb3_ext.checkpoints.state.callback_tree import list_callbacks
from sb3_ext.checkpoints.store.checkpoint_writer import SaveOutcome
from sb3_ext.config.callback_schema import CallbackConfig
from sb3_ext.config.callback_types import CALLBACK_TYPES, load_callback_class
from sb3_ext.config.evaluation_schema import CURRENT, OneEvalConfig, TargetConfig
from sb3_ext.config.game_schema import PoolConfig
from sb3_ext.config.schema import RunConfig
from sb3_ext.config.train_schema import TrainConfig
from sb3_ext.errors import ConfigError, Sb3ExtError, describe_error
from sb3_ext.evaluation.evaluate import Evaluation
from sb3_ext.phases import Phases
from sb3_ext.ranks.rank_group import RankGroup
from sb3_ext.reports.report_writer import ReportWriter
from sb3_ext.runs.session import RunSession
from sb3_ext.selfplay.pool.pool import CURRENT_SELF
from sb3_ext.selfplay.pool.snapshot_store import SNAPSHOT_PREFIX
from sb3_ext.vec.snapshots.exactness import Exactness

if TYPE_CHECKING:
    from sb3_ext.selfplay.positions.position_exam import PositionExam

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Callbacks:
    """
    The callbacks of a run.

    :param checkpoints: saves the latest and the best state
    :param metrics: records every episode and every logged number
    :param evaluation: evaluates the agent
    :param other_evaluations: evaluate it in other environments
    :param curriculum: changes the environments in stages; ``None`` without ``train.curriculum``
    :param timings: measures the phases; ``None`` without ``train.track_timings``
    :param reports: writes the metrics to files
    :param all: these and the others, in the order of their calls
    """

    checkpoints: RunCheckpointCallback
    metrics: MetricsCallback
    evaluation: EvaluationCallback
    other_evaluations: list[EvaluationCallback]
    curriculum: CurriculumCallback | None
    timings: TimingsCallback | None
    reports: ReportWriter
    all: list[BaseCallback]

    def write_reports(self) -> None:
        """Write metrics and curves in the background."""
        self.reports.submit(self.metrics.history, self._make_sections())

    def finish_reports(self, *, hurried: bool = False) -> None:
        """
        Write metrics and curves, and wait for them.

        :param hurried: leave out the curves, which take a second to draw
        """
        self.reports.finish(self.metrics.history, self._make_sections(), draw=not hurried)

    def close(self) -> None:
        """
        Close the reports and every callback with a method ``close``, also nested ones and those of the user.

        An error in one of them is logged; the others are closed all the same.
        """
        for callback in list_callbacks(self.all):
            close = getattr(callback, "close", None)
            if callable(close):
                try:
                    close()
                except Exception:
                    logger.warning("%s.close() failed", type(callback).__name__, exc_info=True)
        self.reports.close()

    def _make_sections(self) -> dict[str, Any]:
        sections: dict[str, Any] = {"summary": self.metrics.summarize(), **self.metrics.sections}
        if self.timings is not None:
            sections["timings_seconds"] = self.timings.seconds
        if self.curriculum is not None:
            sections["curriculum"] = self.curriculum.changes
        for callback in self.all:
            if isinstance(callback, RatingCallback):
                sections["ratings"] = callback.ratings.state_dict()
        return sections


def make_callbacks(
    config: RunConfig,
    session: RunSession,
    phases: Phases,
    extra_callbacks: Sequence[BaseCallback],
    trial: PrunableTrial | None = None,
    group: RankGroup | None = None,
) -> Callbacks:
    """
    :param config: the whole configuration
    :param session: the run that trains
    :param phases: of the run; also used after ``learn``
    :param extra_callbacks: of the caller
    :param trial: of a tuner that judges the training
    :param group: the ranks that train the model; ``None`` for this process alone
    :return: the callbacks; the stop file is checked before signals, since ``runs stop`` uses both
    :raises ConfigError: if one cannot be made with its parameters
    """
    if group is not None and any(judged.background for judged in (config.eval, *config.eval.also)):
        logger.info("eval.background: off, since with several ranks only rank 0 evaluates, and the others wait")
        off = {"background": False}
        others_off = [other.model_copy(update=off) for other in config.eval.also]
        config = config.model_copy(update={"eval": config.eval.model_copy(update={**off, "also": others_off})})
    train = config.train
    paths = session.paths
    metrics = MetricsCallback()
    timings = TimingsCallback(phases) if train.track_timings else None
    stops = list(_make_outside_stops(config, session, lambda: checkpoints))
    evaluation = _make_evaluation(config, session, phases, metrics, lambda: checkpoints.save_for_evaluation(), stops)
    checkpoints = _make_checkpoints(config, session, phases, evaluation, group)
    others = dict(_make_other_evaluations(config, session, phases, metrics, stops))
    ends = list(_make_stop_callbacks(config, evaluation, checkpoints))
    budgets = [stop for stop in [*stops, *ends] if isinstance(stop, (TimeBudgetCallback, EpisodeBudgetCallback))]
    curriculum = make_curriculum(config, evaluation, others, group)
    if curriculum is not None:
        _show_stages(curriculum, config, session, others)
    callbacks = Callbacks(
        checkpoints,
        metrics,
        evaluation,
        list(others.values()),
        curriculum,
        timings,
        ReportWriter(
            paths.metrics,
            paths.evaluations,
            paths.training_curves,
            session.status.status.title(paths.root.name),
            of_game=config.game is not None,
            other_evaluations={name: paths.get_other_evaluations(name) for name in config.eval.others},
        ),
        [
            *([] if group is None else [DataParallelCallback(group, budget=_find_time_budget(config, stops))]),
            timings or PhaseCallback(phases),
            QValuesCallback(),
            *([DeterministicCollectionCallback()] if train.deterministic else []),
            *_make_game_callbacks(config, session, group),
            *_make_configured_callbacks(train, phases, checkpoints.is_boundary_near, checkpoints.is_boundary_ahead),
            EpisodeLoggingCallback(train.log_every_episodes, total_steps=train.total_steps, budgets=budgets),
            metrics,
            BenchmarkCallback(paths.benchmark_metrics, phases, train.duration_seconds),
            HeartbeatCallback(session.status, train.status_every_steps, phases, train.total_steps, budgets),
            ProgressCallback(train.total_steps, budgets=budgets),
            *extra_callbacks,
            NanStopCallback(),  # before an evaluation with such weights
            evaluation,
            *others.values(),
            *([] if curriculum is None else [curriculum]),
            *stops,
            *ends,
            *_make_pruning(config, evaluation, checkpoints, trial),
            *([] if group is None else [SharedStopCallback(group)]),
            checkpoints,
            BoundaryStopCallback(),
        ],
    )
    checkpoints.on_outcome.append(partial(_show_save, session, callbacks))
    return callbacks


def make_rank_callbacks(
    config: RunConfig, signals: ReceivesSignals, group: RankGroup
) -> tuple[RankPartCallback, list[BaseCallback]]:
    """
    Make the callbacks of a rank other than rank 0: those that change the model, and stops that may differ.

    :param config: the whole configuration
    :param signals: records signals to this process
    :param group: the ranks
    :return: the callback for checkpoints, and all callbacks in the order of their calls
    """
    part = RankPartCallback(group)
    train = config.train
    bound = train.total_episodes
    curriculum = make_curriculum(config, None, {}, group)
    callbacks: list[BaseCallback] = [
        DataParallelCallback(group),
        *([DeterministicCollectionCallback()] if train.deterministic else []),
        *([OpponentPoolCallback(group)] if isinstance(train.opponent_sampler, PoolConfig) else []),
        *([] if train.lookahead is None else [LookaheadCallback()]),
        *_make_configured_callbacks(train, Phases(), part.is_boundary_near, lambda: True),
        *([] if curriculum is None else [curriculum]),
        NanStopCallback(),
        SignalStopCallback(signals, at_boundary=part.is_boundary_near),
        *([] if bound is None else [EpisodeBudgetCallback(bound, at_boundary=True)]),
        SharedStopCallback(group),
        part,
        BoundaryStopCallback(),
    ]
    return part, callbacks


def _find_time_budget(config: RunConfig, stops: Sequence[StopCallback]) -> TimeBudgetCallback | None:
    if not follows_time(config):
        return None
    return next((stop for stop in stops if isinstance(stop, TimeBudgetCallback)), None)


def _show_save(session: RunSession, callbacks: Callbacks, outcome: SaveOutcome) -> None:
    if outcome.bundle is not None:
        session.status.update(last_checkpoint=outcome.bundle.path.name)
        callbacks.write_reports()
    session.status.update(last_save_error=None if outcome.error is None else str(outcome.error))


def _make_checkpoints(
    config: RunConfig,
    session: RunSession,
    phases: Phases,
    evaluation: EvaluationCallback,
    group: RankGroup | None,
) -> RunCheckpointCallback:
    section = config.train.checkpoint
    has_evaluations = config.eval.every_steps is not None or config.eval.every_episodes is not None
    exactness = Exactness(True, "not tested, as configured")
    if section.self_test:
        exactness = try_exactness(config, session.interruption)
        label = "exact" if exactness.exact else "approximate"
        logger.info("resuming from checkpoints will be %s: %s", label, exactness.reason)
    inexact_because = explain_inexact_schedules(config)
    if inexact_because is not None:
        logger.info("resuming from checkpoints will be approximate: %s", inexact_because)
    return RunCheckpointCallback(
        session.paths.checkpoints,
        **section.model_dump(exclude={"best_by", "self_test"}),
        best_by=section.best_by or ("evaluation" if has_evaluations else "training_return"),
        evaluation=evaluation,
        exactness=exactness,
        inexact_because=inexact_because,
        phases=phases,
        group=group,
        save_at_end=False,  # the run saves after `learn`, and shows that it does
    )


def _make_evaluation(
    config: RunConfig,
    session: RunSession,
    phases: Phases,
    metrics: MetricsCallback,
    capture: Callable[[], Path],
    stops: Sequence[StopCallback],
) -> EvaluationCallback:
    arguments = _list_evaluation_arguments(config, config.eval, session)
    evaluation = EvaluationCallback(
        **arguments, stops=stops, path=session.paths.evaluations, phases=phases, capture=capture
    )

    def show(step: int, found: Evaluation) -> None:
        session.status.update(best_evaluation=evaluation.best_return)
        metrics.sections["last_evaluation"] = {"step": step, **found.to_json()}

    evaluation.on_evaluation.append(show)
    return evaluation


def _make_exam(config: RunConfig, per_cell: int, session: RunSession) -> PositionExam:
    from sb3_ext.building.position_exams import make_position_exam  # only for these runs: it takes time to import

    return make_position_exam(config, per_cell, session.interruption)


def _make_other_evaluations(
    config: RunConfig, session: RunSession, phases: Phases, metrics: MetricsCallback, stops: Sequence[StopCallback]
) -> Iterator[tuple[str, EvaluationCallback]]:
    def show(name: str, step: int, found: Evaluation) -> None:
        session.status.update(
            other_evaluations={**(session.status.status.other_evaluations or {}), name: found.mean_return}
        )
        metrics.sections.setdefault("other_evaluations", {})[name] = {"step": step, **found.to_json()}

    for name, judged in config.eval.others.items():
        path = session.paths.get_other_evaluations(name)
        path.parent.mkdir(exist_ok=True)
        arguments = _list_evaluation_arguments(config, judged, session)
        evaluation = EvaluationCallback(**arguments, name=name, stops=stops, path=path, phases=phases)
        evaluation.on_evaluation.append(partial(show, name))
        yield name, evaluation


def _show_stages(
    curriculum: CurriculumCallback, config: RunConfig, session: RunSession, others: Mapping[str, EvaluationCallback]
) -> None:
    """Enter the stage into the status, and into evaluations in the current stage."""

    def show(stage: int) -> None:
        session.status.update(stage=stage, stages=len(curriculum.stages), stage_name=curriculum.title or None)

    curriculum.on_stage.append(show)
    for name, judged in config.eval.others.items():
        if judged.stage == CURRENT:
            variant = config.model_copy(update={"eval": judged})
            curriculum.on_stage.append(partial(_use_stage, others[name], variant))


def _use_stage(evaluation: EvaluationCallback, variant: RunConfig, stage: int) -> None:
    evaluation.replace_env(partial(make_eval_env, variant, stage=stage))


def _list_evaluation_arguments(config: RunConfig, judged: OneEvalConfig, session: RunSession) -> dict[str, Any]:
    variant = config.model_copy(update={"eval": judged})
    return {
        "env": partial(make_eval_env, variant),
        **judged.model_dump(include={"every_steps", "every_episodes", "episodes", "deterministic", "max_steps"}),
        "background": judged.background,
        "info_keys": judged.info,
        "exam": None if judged.positions is None else _make_exam(config, judged.positions, session),
        "seed": choose_eval_seed(config),
    }


def _make_outside_stops(
    config: RunConfig, session: RunSession, find_checkpoints: Callable[[], RunCheckpointCallback]
) -> Iterator[StopCallback]:
    """Make the callbacks whose reasons may arise at any moment, also during an evaluation."""
    # Users wait for the stop that they requested: at most about a second.
    at_boundary = lambda: find_checkpoints().is_boundary_near()  # noqa: E731
    yield StopFileCallback(session.paths.stop, at_boundary=at_boundary)
    yield SignalStopCallback(session.signals, at_boundary=at_boundary, stop_file=session.paths.stop)
    if config.train.duration_seconds is not None:
        # The rollout that reaches the bound is learned from first.
        at_boundary = lambda: find_checkpoints().is_boundary_ahead()  # noqa: E731
        yield TimeBudgetCallback(config.train.duration_seconds, at_boundary=at_boundary)


def _make_stop_callbacks(
    config: RunConfig, evaluation: EvaluationCallback, checkpoints: RunCheckpointCallback
) -> Iterator[StopCallback]:
    # The rollout that reaches the bound is learned from first.
    at_boundary = checkpoints.is_boundary_ahead
    if config.train.total_episodes is not None:
        yield EpisodeBudgetCallback(config.train.total_episodes, at_boundary=at_boundary)
    for section, stop_class in (
        (config.early_stopping.target, ConvergenceStopCallback),
        (config.early_stopping.plateau, PlateauStopCallback),
    ):
        if section is not None:
            arguments = section.model_dump(exclude={"by", "target_return"})
            if isinstance(section, TargetConfig):
                arguments["target"] = section.target_return
            watched = evaluation if section.by == "evaluation" else None
            yield stop_class(**arguments, evaluations=watched, at_boundary=at_boundary)


def _make_game_callbacks(config: RunConfig, session: RunSession, group: RankGroup | None) -> Iterator[BaseCallback]:
    sampler = config.train.opponent_sampler
    if sampler is None:
        return
    if isinstance(sampler, PoolConfig):
        yield OpponentPoolCallback(group)
    if config.train.lookahead is not None:
        yield LookaheadCallback()
    ratings = RatingCallback(past_self_prefix=SNAPSHOT_PREFIX, unrated={CURRENT_SELF})
    ratings.on_rating.append(lambda found: session.status.update(rating=found.mu, rating_sigma=found.sigma))
    yield ratings
    against = ", ".join(f"{name} ({share:.0%})" for name, share in compute_eval_shares(config).items())
    least, most = EVAL_OPENING_PLIES
    logger.info(
        "evaluations are against %s, half of the games in each seat, from random openings of %d to %d moves; "
        "their mean return is the win rate minus the loss rate",
        *(against, least, most),
    )


def _make_pruning(
    config: RunConfig, evaluation: EvaluationCallback, checkpoints: RunCheckpointCallback, trial: PrunableTrial | None
) -> Iterator[StopCallback]:
    if trial is not None:
        yield TrialPruningCallback(trial, evaluation, every_steps=config.eval.every_steps, at_boundary=True)


def _make_configured_callbacks(
    train: TrainConfig, phases: Phases, is_near: Callable[[], bool], is_ahead: Callable[[], bool]
) -> Iterator[BaseCallback]:
    given = {"phases": phases, "total_steps": train.total_steps}
    for index, entry in enumerate(train.callbacks):
        if not entry.enabled or not isinstance(entry, CallbackConfig):
            continue
        found = load_callback_class(entry.type)
        known = read_parameters(found) if entry.type in CALLBACK_TYPES else {}
        is_stop_file = issubclass(found, StopFileCallback)
        at_boundary = is_near if is_stop_file else is_ahead
        own = {name: value for name, value in {**given, "at_boundary": at_boundary}.items() if name in known}
        try:
            yield found(**entry.params, **own)
        except Sb3ExtError:
            raise
        except Exception as error:
            message = f"{entry.type} cannot be made: {describe_error(error)}"
            raise ConfigError(f"train.callbacks.{index}: {message}") from error
