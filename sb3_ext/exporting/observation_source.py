"""Observations of a run's environment before any wrapper of SB3, with the actions that ``predict`` chooses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from sb3_ext.agents.agent import AgentSource, load_agent, make_agent_env
from sb3_ext.building.training_environments import choose_eval_seed
from sb3_ext.evaluation.episode_loop import takes_masks

_MOST_ENVS = 16
_RANDOM_FRACTION = 0.2


@dataclass(frozen=True)
class PredictedBatch:
    """
    Observations of one step of all environments, and what ``predict`` returns for them.

    :param observations: of the environment, before frame stack, image transposition and normalisation
    :param starts: whether an episode begins with the observation, shape ``(batch,)``
    :param masks: the legal actions, shape ``(batch, actions)``; ``None`` if the agent takes no masks
    :param actions: deterministic actions of ``predict``
    """

    observations: Any
    starts: NDArray[np.bool_]
    masks: NDArray[np.bool_] | None
    actions: NDArray[Any]


class PlayingAgent:
    """
    A model and the environments that it plays in.

    :param model: the model
    :param env: the environments, with all their wrappers
    :param seed: of the environments, and of random actions
    """

    def __init__(self, model: BaseAlgorithm, env: VecEnv, seed: int = 0) -> None:
        self.model, self._seed = model, seed
        self.env, self._recorder = _record_observations(env)

    @property
    def takes_masks(self) -> bool:
        """Whether ``predict`` takes action masks."""
        return takes_masks(self.model, self.env)

    def predict(self, count: int) -> Iterator[PredictedBatch]:
        """
        Play, and yield what the agent observes and does. Some actions are random, so that observations differ more.

        :param count: number of observations, rounded up to whole batches
        :return: the batches in their order, for agents with states
        """
        generator = np.random.default_rng(self._seed)
        self.env.seed(self._seed)
        self.env.action_space.seed(self._seed)
        has_masks = self.takes_masks
        observations: Any = self.env.reset()
        starts = np.ones(self.env.num_envs, dtype=bool)
        state: Any = None
        for _ in range(math.ceil(count / self.env.num_envs)):
            masks = np.asarray(get_action_masks(self.env), dtype=bool) if has_masks else None
            given: dict[str, Any] = {} if masks is None else {"action_masks": masks}
            actions, state = self.model.predict(
                observations, state=state, episode_start=starts, deterministic=True, **given
            )
            yield PredictedBatch(self._recorder.latest, starts, masks, np.asarray(actions))
            played = np.array(actions)
            for row in np.flatnonzero(generator.random(len(played)) < _RANDOM_FRACTION).tolist():
                played[row] = self._draw_action(generator, None if masks is None else masks[row], observations, row)
            observations, _, starts, _ = self.env.step(played)

    def _draw_action(
        self, generator: np.random.Generator, mask: NDArray[np.bool_] | None, observations: Any, row: int
    ) -> Any:
        space = self.env.action_space
        if isinstance(observations, Mapping) and "action_mask" in observations:
            mask = np.asarray(observations["action_mask"][row]) > 0
        if mask is None:
            return space.sample()
        if isinstance(space, spaces.Discrete):
            return generator.choice(np.flatnonzero(mask))
        sizes = space.nvec if isinstance(space, spaces.MultiDiscrete) else np.full(space.shape or (), 2)
        parts = np.split(mask, np.cumsum(sizes)[:-1])
        return np.array([generator.choice(np.flatnonzero(part)) for part in parts])


@contextmanager
def open_agent(source: AgentSource, *, trust: bool = False) -> Iterator[PlayingAgent]:
    """
    Load an agent on the CPU, and make its environments, which are closed at the end of the block.

    :param source: from :func:`~sb3_ext.agents.agent.find_agent`
    :param trust: run code that the files contain
    :return: the agent
    :raises CheckpointError: if it cannot be loaded
    :raises ConfigError: if the environments cannot be made
    """
    config = source.config
    on_cpu = config.model_copy(update={"agent": config.agent.model_copy(update={"device": "cpu"})})
    found = replace(source, config=on_cpu)
    with closing(make_agent_env(found, num_envs=_MOST_ENVS, trust=trust)) as env:
        yield PlayingAgent(load_agent(found, env, trust=trust), env, choose_eval_seed(config))


class _ObservationRecorder(VecEnvWrapper):
    """Keeps the latest observations that the environments return."""

    latest: Any

    def reset(self) -> VecEnvObs:
        observations = self.venv.reset()
        self.latest = _copy(observations)
        return observations

    def step_wait(self) -> VecEnvStepReturn:
        step = self.venv.step_wait()
        self.latest = _copy(step[0])
        return step


def _record_observations(env: VecEnv) -> tuple[VecEnv, _ObservationRecorder]:
    """:return: the environments with a recorder inside all their wrappers, and the recorder"""
    outer: VecEnv | None = None
    inner = env
    while isinstance(inner, VecEnvWrapper):
        outer, inner = inner, inner.venv
    recorder = _ObservationRecorder(inner)
    if not isinstance(outer, VecEnvWrapper):
        return recorder, recorder
    outer.venv = recorder
    return env, recorder


def _copy(observations: Any) -> Any:
    if isinstance(observations, Mapping):
        return {key: np.array(part) for key, part in observations.items()}
    return np.array(observations)
