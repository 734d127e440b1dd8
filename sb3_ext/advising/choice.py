"""``parallel.mode: auto``: where the environments are stepped, chosen in a fraction of a second."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sb3_ext.advising.step_time import measure_step_seconds
from sb3_ext.building.training_environments import NATIVE, make_environment_factory
from sb3_ext.config.schema import EnvConfig, ParallelConfig, RunConfig
from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.vec.native import has_native_vec_env
from sb3_ext.vec.worker_split import count_cores, split_environments

logger = logging.getLogger(__name__)

FAST_STEP_SECONDS = 100e-6
"""An environment that is stepped in less is stepped here: the messages to other processes take longer."""

ROUND_TRIP_SECONDS = 200e-6
"""What a step costs with workers beside what its environments need; zoo_scripts/benchmark_vec_envs.py measures it."""

_MIN_SPEED_UP = 1.3
_START_SECONDS = 5.0
_MIN_SAVING = 2 * _START_SECONDS  # processes have to be started, and to be worth it


@dataclass(frozen=True)
class ParallelChoice:
    """
    :param parallel: the section ``parallel``, with a mode that is none but itself
    :param reason: why, one line
    """

    parallel: ParallelConfig
    reason: str


def resolve_parallel(config: RunConfig, *, is_rendered: bool = False, interruption: Interruption = NEVER) -> RunConfig:
    """
    Replace ``parallel.mode: auto`` by what it is in this run, and say why in the log.

    Which of those that give the same results it is depends on the machine: sequential or workers. Native batches are
    chosen wherever there are some. A resume finds the choice in the run's resolved configuration.

    :param config: the whole configuration
    :param is_rendered: whether windows are shown, which needs the environments in this process
    :param interruption: checked before each step
    :return: the same, with another mode if that was ``auto``
    :raises StopRequested: if ``interruption`` says so
    """
    if config.parallel.mode != "auto":
        return config
    choice = choose_parallel(config, is_rendered=is_rendered, interruption=interruption)
    logger.info("environments: %s: %s", choice.parallel.mode, choice.reason)
    return config.model_copy(update={"parallel": choice.parallel})


def choose_parallel(
    config: RunConfig, *, is_rendered: bool = False, interruption: Interruption = NEVER
) -> ParallelChoice:
    """
    :param config: the whole configuration
    :param is_rendered: whether windows are shown
    :param interruption: checked before each step
    :return: ``native``, ``sequential``, or ``workers`` and how many, with the reason
    :raises StopRequested: if ``interruption`` says so
    """
    section = config.require_env("the choice of a parallel mode")
    if can_be_native(section):
        native = ParallelConfig(mode=NATIVE, num_envs=config.parallel.num_envs)
        return ParallelChoice(native, "the environment comes in batches of its own")
    num_envs, cores = config.parallel.num_envs, count_cores()
    workers = split_environments(num_envs)
    if num_envs == 1 or is_rendered or workers == 1:
        few = "one core" if cores == 1 else f"{num_envs} environments cannot be shared evenly by {cores} cores"
        return _choose_sequential(
            config, "one environment" if num_envs == 1 else "they are shown" if is_rendered else few
        )
    try:
        step_seconds = measure_step_seconds(make_environment_factory(section), interruption=interruption)
    except Exception as error:  # whatever a user's environment raises, training is to show it, not this
        return _choose_sequential(config, f"one that was tried failed: {error!r}")
    return _compare(config, workers, step_seconds)


def predict_speed_up(num_envs: int, workers: int, step_seconds: float) -> float:
    """
    :param num_envs: environments in all
    :param workers: processes that share them
    :param step_seconds: of one environment
    :return: by what factor workers step them faster than one process does
    """
    return num_envs * step_seconds / (ROUND_TRIP_SECONDS + num_envs / workers * step_seconds)


def _compare(config: RunConfig, workers: int, step_seconds: float) -> ParallelChoice:
    num_envs = config.parallel.num_envs
    speed_up = predict_speed_up(num_envs, workers, step_seconds)
    measured = f"a step takes {1e6 * step_seconds:,.0f} µs"
    if step_seconds < FAST_STEP_SECONDS:
        return _choose_sequential(config, f"{measured}, less than the messages to other processes")
    if speed_up < _MIN_SPEED_UP:
        return _choose_sequential(
            config, f"{measured}; {workers} workers would be {speed_up:.1f} times as fast, at best"
        )
    total_steps = config.train.total_steps
    saving = float("inf") if total_steps is None else total_steps * step_seconds * (1 - 1 / speed_up)
    if saving < _MIN_SAVING:
        return _choose_sequential(
            config, f"{measured}, so that workers would save {saving:.0f} s and have to start first"
        )
    parallel = ParallelConfig(
        **{
            **config.parallel.model_dump(),
            "mode": "workers",
            "num_workers": workers,
            "num_envs_per_worker": num_envs // workers,
        }
    )
    reason = (
        f"{measured}; {workers} workers of {num_envs // workers} environments step up to {speed_up:.1f} times as fast"
    )
    return ParallelChoice(parallel, reason)


def can_be_native(env: EnvConfig) -> bool:
    """
    :param env: the section ``env``
    :return: whether it is stepped in native batches: whatever the machine, since those have random numbers of their
        own and other results
    """
    return env.max_steps is None and not env.wrappers and has_native_vec_env(env.id)


def _choose_sequential(config: RunConfig, reason: str) -> ParallelChoice:
    return ParallelChoice(ParallelConfig(mode="sequential", num_envs=config.parallel.num_envs), reason)
