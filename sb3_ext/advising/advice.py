"""Measure the ways to step environments, recommend one, and explain why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

from sb3_ext.advising.agent_cost import AgentCost, measure_agent
from sb3_ext.advising.choice import is_dominated_by_messages
from sb3_ext.advising.step_time import measure_step_seconds
from sb3_ext.advising.trials import Trial, list_sections, try_section
from sb3_ext.building.parallel import make_configured_backend
from sb3_ext.building.training_environments import make_environment_factory
from sb3_ext.config.schema import RunConfig
from sb3_ext.vec.backends.parallel_modes import SEQUENTIAL
from sb3_ext.vec.workers.worker_split import count_cores

_WORTH_IT = 1.1  # less is not worth the processes and their memory
_SMALL_SHARE = 0.2
_BUSY_PERCENT = 25.0
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Advice:
    """
    Measurements, and the recommendation that follows.

    :param cores: of this process
    :param busy_percent: CPU use of the machine before the measurements
    :param env_step_seconds: a step of one environment
    :param agent: its cost
    :param trials: sequential first; only the configured mode if no other one can step these environments
    """

    cores: int
    busy_percent: float
    env_step_seconds: float
    agent: AgentCost
    trials: tuple[Trial, ...]

    def predict_fps(self, trial: Trial) -> float:
        """
        :param trial: one of the trials
        :return: steps per second of training: stepping, choosing actions and learning
        """
        return trial.parallel.num_envs / self._predict_step_seconds(trial)

    def _predict_step_seconds(self, trial: Trial) -> float:
        return self.agent.predict_step_seconds(trial.step_seconds, self.sequential.step_seconds)

    @property
    def sequential(self) -> Trial:
        """The trial of ``sequential``, or the only one."""
        return self.trials[0]

    @property
    def best(self) -> Trial:
        """The fastest trial; sequential, unless another is at least a tenth faster."""
        fastest = max(self.trials, key=self.predict_fps)
        is_worth_it = self.predict_fps(fastest) >= _WORTH_IT * self.predict_fps(self.sequential)
        return fastest if is_worth_it else self.sequential

    @property
    def stepping_share(self) -> float:
        """The share of a sequential training that is spent in the environments: the most that workers can save."""
        return self.sequential.step_seconds / self._predict_step_seconds(self.sequential)


def measure_advice(config: RunConfig, seconds: float, on_trial: Callable[[str], None] = lambda name: None) -> Advice:
    """
    Measure an environment, the agent, and the ways to step the environments, on this machine under its current load.

    :param config: the whole configuration
    :param seconds: for each measurement
    :param on_trial: called with the name of each way before it is measured
    :return: the advice
    :raises ConfigError: if environments or agent cannot be made
    """
    section = config.require_env("advice on parallel environments")
    cores, busy_percent = count_cores(), psutil.cpu_percent(_LOOK_SECONDS)
    sections = list_sections(config, cores)
    has_sequential = sections[0].mode == SEQUENTIAL
    env_step_seconds = measure_step_seconds(make_environment_factory(section), seconds) if has_sequential else None
    agent = measure_agent(config, seconds, sections[0])
    trials = []
    for parallel in sections:
        on_trial(make_configured_backend(parallel).name)
        trials.append(try_section(config, parallel, seconds))
    if env_step_seconds is None:
        env_step_seconds = trials[0].step_seconds / config.parallel.num_envs
    return Advice(cores, busy_percent, env_step_seconds, agent, tuple(trials))


def explain_advice(advice: Advice) -> Iterator[str]:
    """
    :param advice: the measurements
    :return: the reasons for the recommendation, a paragraph each
    """
    if advice.busy_percent > _BUSY_PERCENT:
        yield (
            f"Other processes used {advice.busy_percent:.0f} % of the CPU: workers compete with them. Measure again "
            "when the machine is idle."
        )
    sequential, best = advice.sequential, advice.best
    if sequential.parallel.mode != SEQUENTIAL:
        yield "These environments exist only as a vector environment, which no other mode can step."
        return
    if len(advice.trials) == 1 and sequential.parallel.num_envs == 1:
        yield (
            "There is only one environment, so nothing can run in parallel. More environments change what is "
            "learned; try --num-envs 8."
        )
        return
    if best is not sequential:
        gain = advice.predict_fps(best) / advice.predict_fps(sequential)
        way = best.backend.description
        yield f"{way[0].upper()}{way[1:]} train {gain:.2f} times as fast as stepping one environment after the other."
    slower = [trial for trial in advice.trials[1:] if trial.step_seconds > sequential.step_seconds]
    if slower:
        yield from _explain_slower(advice, slower)
    if advice.stepping_share < _SMALL_SHARE:
        yield (
            f"The environments take {advice.stepping_share:.0%} of the time, the agent the rest. Stepping them in "
            f"parallel makes training at most {1 / (1 - advice.stepping_share):.2f} times as fast. A larger "
            "batch_size, fewer n_epochs or gradient_steps, or a smaller network save more."
        )


def _explain_slower(advice: Advice, slower: list[Trial]) -> Iterator[str]:
    num_envs, step = advice.sequential.parallel.num_envs, advice.env_step_seconds
    names = ", ".join(trial.backend.name for trial in slower)
    yield f"Slower than one process: {names}."
    quickest = min(slower, key=lambda trial: trial.step_seconds)
    own = step * num_envs / min(quickest.backend.concurrency, advice.cores)
    messages = quickest.step_seconds - own
    if messages > own and is_dominated_by_messages(quickest.backend, step):
        yield (
            f"A step of an environment takes {_format_time(step)}, and {quickest.backend.name} adds "
            f"{_format_time(messages)} of messages to each step of all environments. Keep such fast environments in "
            "one process."
        )
    if any(trial.backend.concurrency > advice.cores for trial in slower):
        yield f"More workers than cores ({advice.cores}) take turns, and switching between them takes time."
    with_messages = [trial.backend for trial in slower if trial.backend.round_trip_seconds > 0]
    if any(backend.concurrency == num_envs for backend in with_messages):
        yield "With one environment per worker, each environment costs a message per step."


def _format_time(seconds: float) -> str:
    return f"{1e6 * seconds:,.0f} µs" if seconds < 1e-3 else f"{1e3 * seconds:,.1f} ms"
