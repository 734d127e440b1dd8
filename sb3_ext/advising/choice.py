"""Choose a mode for ``parallel.mode: auto`` in a fraction of a second."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sb3_ext.advising.step_time import measure_step_seconds
from sb3_ext.building.parallel import fill_parallel, make_configured_backend, use_mode
from sb3_ext.building.training_environments import make_environment_factory
from sb3_ext.config.parallel_schema import ParallelConfig
from sb3_ext.config.schema import RunConfig
from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.vec.backends.environment_backend import EnvironmentBackend
from sb3_ext.vec.backends.parallel_modes import AUTO, BUILT_IN, SEQUENTIAL, load_backend_class
from sb3_ext.vec.workers.worker_split import count_cores

logger = logging.getLogger(__name__)

_MIN_SPEED_UP = 1.3
_MIN_SAVING = 2.0  # in starts of processes


@dataclass(frozen=True)
class ParallelChoice:
    """
    :param parallel: the section ``parallel`` with the chosen mode
    :param reason: the reason, one line
    """

    parallel: ParallelConfig
    reason: str


def resolve_parallel(config: RunConfig, *, rendered: bool = False, interruption: Interruption = NEVER) -> RunConfig:
    """
    Replace ``parallel.mode: auto`` by a mode, and log the reason.

    Sequential or workers, which have the same results, depends on the speed of the machine. Native batches are chosen
    on every machine if the environment has them. A resume reads the choice from the run's resolved configuration.

    :param config: the whole configuration
    :param rendered: whether windows are shown; they need the environments in this process
    :param interruption: checked before each step
    :return: the configuration, with another mode if that was ``auto``
    :raises StopRequested: if ``interruption`` says so
    """
    if config.parallel.mode != AUTO:
        return config
    choice = choose_parallel(config, rendered=rendered, interruption=interruption)
    logger.info("parallel.mode: auto chooses %s: %s", choice.parallel.mode, choice.reason)
    return config.model_copy(update={"parallel": choice.parallel})


def choose_parallel(config: RunConfig, *, rendered: bool = False, interruption: Interruption = NEVER) -> ParallelChoice:
    """
    Choose among the built-in modes.

    :param config: the whole configuration
    :param rendered: whether windows are shown
    :param interruption: checked before each step
    :return: the choice with its reason; ``sequential`` unless another mode is clearly faster
    :raises StopRequested: if ``interruption`` says so
    """
    num_envs = config.parallel.num_envs
    factory = make_environment_factory(config.require_env("the choice of a parallel mode"))
    for mode in () if config.train.curriculum else BUILT_IN:  # it needs environments that can be changed one by one
        reason = load_backend_class(mode).explain_preference(factory)
        if reason is not None:
            return ParallelChoice(use_mode(config.parallel, mode), reason)
    if num_envs == 1:
        return _choose_sequential(config, "one environment")
    if rendered:
        return _choose_sequential(config, "they are shown")
    automatic = [use_mode(config.parallel, mode) for mode in BUILT_IN if load_backend_class(mode).is_automatic]
    parallel = [section for section in automatic if make_configured_backend(section).concurrency > 1]
    if not parallel:
        cores = count_cores()
        few = "one core" if cores == 1 else f"{num_envs} environments cannot be shared evenly by {cores} cores"
        return _choose_sequential(config, few)
    try:
        step_seconds = measure_step_seconds(factory, interruption=interruption)
    except Exception as error:  # the user's environment may raise anything; training reports it
        return _choose_sequential(config, f"an environment failed when it was tried: {error!r}")
    return _compare(config, parallel, step_seconds)


def _compare(config: RunConfig, parallel: Sequence[ParallelConfig], step_seconds: float) -> ParallelChoice:
    """Compare sections with sequential stepping by what their back ends predict."""
    fastest = min(parallel, key=lambda section: make_configured_backend(section).predict_step_seconds(step_seconds))
    backend = make_configured_backend(fastest)
    measured = f"a step takes {1e6 * step_seconds:,.0f} µs"
    if is_dominated_by_messages(backend, step_seconds):
        return _choose_sequential(config, f"{measured}, less than the messages to other processes")
    speed_up = config.parallel.num_envs * step_seconds / backend.predict_step_seconds(step_seconds)
    few = backend.description.partition(" of ")[0]
    if speed_up < _MIN_SPEED_UP:
        return _choose_sequential(config, f"{measured}; {few} would be {speed_up:.1f} times as fast, at best")
    total_steps = config.train.total_steps
    saving = float("inf") if total_steps is None else total_steps * step_seconds * (1 - 1 / speed_up)
    if saving < _MIN_SAVING * backend.start_seconds:
        return _choose_sequential(
            config, f"{measured}, so that {few} would save {saving:.0f} s and have to start first"
        )
    reason = f"{measured}; {backend.description} step up to {speed_up:.1f} times as fast"
    return ParallelChoice(fill_parallel(fastest), reason)


def is_dominated_by_messages(backend: EnvironmentBackend, env_step_seconds: float) -> bool:
    """
    :param backend: perhaps with other processes
    :param env_step_seconds: a step of one environment
    :return: whether an environment is stepped in less time than a message to its process takes
    """
    return env_step_seconds < backend.round_trip_seconds / 2


def _choose_sequential(config: RunConfig, reason: str) -> ParallelChoice:
    return ParallelChoice(ParallelConfig(mode=SEQUENTIAL, num_envs=config.parallel.num_envs), reason)
