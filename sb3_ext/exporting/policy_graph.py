"""A trained agent as one torch module: from observations of the environment to deterministic actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy
from stable_baselines3.common.policies import ActorCriticPolicy, BaseModel
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, unwrap_vec_normalize, unwrap_vec_wrapper
from stable_baselines3.common.vec_env.stacked_observations import StackedObservations
from stable_baselines3.dqn.policies import DQNPolicy
from torch import nn
from torch.nn import functional

from sb3_ext.agents.raw_observations import find_observation_path
from sb3_ext.errors import ExportError
from sb3_ext.internals.sb3 import choose_actions, make_action_distribution
from sb3_ext.selfplay.opponents.policy_opponent import copy_policy

OBSERVATION = "observation"
ACTION_MASKS, EPISODE_START, FRAMES = "action_masks", "episode_start", "frames"
HIDDEN_STATE, CELL_STATE = "hidden_state", "cell_state"
ACTIONS, PROBABILITIES, Q_VALUES, NEXT = "actions", "probabilities", "q_values", "next_"


@dataclass(frozen=True)
class GraphInput:
    """
    An input of the graph.

    :param example: zeros for a batch of two
    :param batch_dimension: which dimension is the batch
    """

    example: torch.Tensor
    batch_dimension: int = 0

    def make_zeros(self, batch_size: int) -> NDArray[Any]:
        """
        :param batch_size: size of the batch
        :return: the input at the start of all episodes
        """
        shape = list(self.example.shape)
        shape[self.batch_dimension] = batch_size
        return np.zeros(shape, dtype=self.example.numpy().dtype)


class PolicyGraph(nn.Module):
    """
    Computes what ``predict`` returns, and everything that wrappers of SB3 do to observations before it.

    Inputs are the observation (by key, if it is a ``Dict``); with action masks ``action_masks``; with a frame stack
    ``frames``; with a recurrent policy ``hidden_state`` and ``cell_state``; with either of these ``episode_start``.
    Outputs are ``actions``; ``probabilities`` or ``q_values``, if the policy has them; and ``next_`` with the name of
    each state, which is the input of the next step.

    :param policy: any policy of SB3 or sb3-contrib; it is copied to the CPU
    :param env: the environments that it plays in, with all their wrappers
    :param needs_masks: whether it takes action masks
    :raises ExportError: if an observation has the name of another input
    """

    low: torch.Tensor
    high: torch.Tensor

    def __init__(self, policy: Any, env: VecEnv, *, needs_masks: bool) -> None:
        super().__init__()
        self.policy: Any = copy_policy(policy)
        path = find_observation_path(env)
        self._is_dict = isinstance(path.space, spaces.Dict)
        parts = dict(path.space.spaces) if isinstance(path.space, spaces.Dict) else {OBSERVATION: path.space}
        self._observation_names = list(parts)
        self._transposed = [OBSERVATION if key is None else key for key in path.transposed]
        self._add_normalization(env)
        inputs = {name: GraphInput(_make_zeros(space)) for name, space in parts.items()}
        stack = unwrap_vec_wrapper(env, VecFrameStack)
        self._stacks: dict[str, StackedObservations[Any]] = {}
        if stack is not None:
            stacked: Any = stack.stacked_obs
            self._stacks = stacked.sub_stacked_observations if self._is_dict else {OBSERVATION: stacked}
        more = {
            self._name_frames(name): GraphInput(_make_zeros(part.stacked_observation_space))
            for name, part in self._stacks.items()
        }
        if isinstance(self.policy, RecurrentActorCriticPolicy):
            layers, _, size = self.policy.lstm_hidden_state_shape
            for name in (HIDDEN_STATE, CELL_STATE):  # torch would take the same tensor for the same input
                more[name] = GraphInput(torch.zeros(layers, 2, size), batch_dimension=1)
        self.state_names = list(more)
        if more:
            more[EPISODE_START] = GraphInput(torch.zeros(2, dtype=torch.bool))
        if needs_masks:
            more[ACTION_MASKS] = GraphInput(torch.ones(2, _count_masks(env.action_space), dtype=torch.bool))
        clashes = sorted(inputs.keys() & (more.keys() | {ACTIONS, PROBABILITIES, Q_VALUES}))
        if clashes:
            raise ExportError(f"the part {clashes[0]!r} of the observation has the name of another input or output")
        self.inputs: dict[str, GraphInput] = {**inputs, **more}
        self.output_names = [ACTIONS, *self._name_preferences(), *(f"{NEXT}{name}" for name in self.state_names)]
        space = env.action_space
        if isinstance(space, spaces.Box):
            self.register_buffer("low", torch.as_tensor(space.low))
            self.register_buffer("high", torch.as_tensor(space.high))
        self._action_space = space
        self.eval()

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """
        :param tensors: the inputs, in the order of :attr:`inputs`
        :return: the outputs, in the order of :attr:`output_names`
        """
        given = dict(zip(self.inputs, tensors, strict=True))
        observations, frames = self._convert({name: given[name] for name in self._observation_names}, given)
        observation = observations if self._is_dict else observations[OBSERVATION]
        actions, preferences, states = self._choose(observation, given)
        return (self._scale(actions), *preferences, *frames, *states)

    def _convert(
        self, observations: dict[str, torch.Tensor], given: Mapping[str, torch.Tensor]
    ) -> tuple[dict[str, torch.Tensor], list[torch.Tensor]]:
        """:return: observations of the policy, and the stacked frames"""
        frames = []
        for name, stack in self._stacks.items():
            newest, earlier = observations[name], given[self._name_frames(name)]
            start = given[EPISODE_START].view(-1, *[1] * (earlier.dim() - 1))
            earlier = torch.where(start, torch.zeros_like(earlier), earlier)
            dimension = stack.stack_dimension % earlier.dim()
            kept = earlier.narrow(
                dimension, newest.shape[dimension], earlier.shape[dimension] - newest.shape[dimension]
            )
            observations[name] = torch.cat([kept, newest], dim=dimension)
            frames.append(observations[name])
        for name in self._transposed:
            observations[name] = observations[name].movedim(-1, 1)
        for index, name in enumerate(self._normalized):
            mean, scale = getattr(self, f"mean_{index}"), getattr(self, f"scale_{index}")
            scaled = (observations[name].double() - mean) / scale
            observations[name] = scaled.clamp(-self._clip, self._clip).float()
        return observations, frames

    def _choose(
        self, observation: Any, given: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]:
        """:return: actions, preferences and states"""
        policy: Any = self.policy
        if isinstance(self.policy, DQNPolicy):
            values = policy.q_net(observation)
            return values.argmax(dim=1), [values], []
        if isinstance(self.policy, QRDQNPolicy):
            values = policy.quantile_net(observation).mean(dim=1)
            return values.argmax(dim=1), [values], []
        states: list[torch.Tensor] = []
        if isinstance(self.policy, RecurrentActorCriticPolicy):
            keep = (~given[EPISODE_START]).float().view(1, -1, 1)
            features: Any = BaseModel.extract_features(policy, observation, policy.pi_features_extractor)
            outputs, *states = step_lstm(
                policy.lstm_actor, features, keep * given[HIDDEN_STATE], keep * given[CELL_STATE]
            )
            latent = policy.mlp_extractor.forward_actor(outputs)
            distribution = make_action_distribution(policy, latent)
        elif isinstance(self.policy, MaskableActorCriticPolicy):
            distribution = policy.get_distribution(observation, action_masks=given.get(ACTION_MASKS))
        elif isinstance(self.policy, ActorCriticPolicy):
            distribution = policy.get_distribution(observation)
        else:
            return choose_actions(policy, observation), [], []
        actions = distribution.get_actions(deterministic=True)
        return actions, _list_probabilities(distribution), states

    def _scale(self, actions: torch.Tensor) -> torch.Tensor:
        """Do with actions what SB3's ``predict`` does after the network."""
        actions = actions.reshape(-1, *(self._action_space.shape or ()))
        if not isinstance(self._action_space, spaces.Box):
            return actions
        if self.policy.squash_output:
            return self.low + 0.5 * (actions + 1.0) * (self.high - self.low)
        return torch.minimum(torch.maximum(actions, self.low), self.high)

    def _add_normalization(self, env: VecEnv) -> None:
        normalize = unwrap_vec_normalize(env)
        self._normalized: list[str] = []
        if normalize is None or not normalize.norm_obs:
            return
        self._clip = float(normalize.clip_obs)
        statistics: Any = normalize.obs_rms
        found = statistics if isinstance(statistics, dict) else {OBSERVATION: statistics}
        for index, (name, statistic) in enumerate(found.items()):
            self._normalized.append(name)
            # float64, as in VecNormalize.
            self.register_buffer(f"mean_{index}", torch.as_tensor(statistic.mean, dtype=torch.float64))
            scale = np.sqrt(statistic.var + normalize.epsilon)
            self.register_buffer(f"scale_{index}", torch.as_tensor(scale, dtype=torch.float64))

    def _name_frames(self, name: str) -> str:
        return f"{FRAMES}_{name}" if self._is_dict else FRAMES

    def _name_preferences(self) -> list[str]:
        if isinstance(self.policy, DQNPolicy | QRDQNPolicy):
            return [Q_VALUES]
        is_actor_critic = isinstance(self.policy, ActorCriticPolicy | MaskableActorCriticPolicy)
        return [PROBABILITIES] if is_actor_critic and not isinstance(self.policy.action_space, spaces.Box) else []


def step_lstm(
    lstm: nn.LSTM, inputs: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """
    Compute one step of an LSTM by elementary operations.

    :param lstm: with any number of layers, in one direction, without projections
    :param inputs: shape (batch, numbers)
    :param hidden: hidden states, shape (layers, batch, size)
    :param cell: cell states, shape (layers, batch, size)
    :return: outputs of shape (batch, size), and the new states
    :raises ExportError: if it has two directions or projections
    """
    if lstm.bidirectional or lstm.proj_size:
        raise ExportError("an LSTM with two directions or with projections cannot be exported")
    hiddens, cells = [], []
    for layer in range(lstm.num_layers):
        weights = [getattr(lstm, f"weight_{kind}_l{layer}") for kind in ("ih", "hh")]
        biases = [getattr(lstm, f"bias_{kind}_l{layer}") if lstm.bias else None for kind in ("ih", "hh")]
        gates = functional.linear(inputs, weights[0], biases[0]) + functional.linear(
            hidden[layer], weights[1], biases[1]
        )
        entry, forget, candidate, exit_ = gates.chunk(4, dim=1)
        cells.append(forget.sigmoid() * cell[layer] + entry.sigmoid() * candidate.tanh())
        inputs = exit_.sigmoid() * cells[-1].tanh()
        hiddens.append(inputs)
    return inputs, torch.stack(hiddens), torch.stack(cells)


def _list_probabilities(distribution: Any) -> list[torch.Tensor]:
    """:return: probabilities of all actions in one tensor; none for continuous actions"""
    parts = getattr(distribution, "distributions", None) or distribution.distribution
    if isinstance(parts, list):
        return [torch.cat([part.probs for part in parts], dim=1)]
    return [parts.probs] if hasattr(parts, "probs") else []


def _count_masks(space: spaces.Space[Any]) -> int:
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return int(space.nvec.sum())
    return 2 * int(np.prod(space.shape or ()))


def _make_zeros(space: spaces.Space[Any]) -> torch.Tensor:
    return torch.as_tensor(np.zeros((2, *(space.shape or ())), dtype=space.dtype))
