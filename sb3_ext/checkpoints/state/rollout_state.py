"""State between two rollouts: last observations, recurrent states and exploration noise."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import StateDependentNoiseDistribution

from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.internals.sb3 import ROLLOUT_OBSERVATIONS, get_lstm_states, set_lstm_states

_MATRICES = ("exploration_mat", "exploration_matrices")


def capture_rollout(model: Any, state: CapturedState) -> None:
    """
    :param model: the model, between two rollouts
    :param state: the state to add to
    """
    for name in ROLLOUT_OBSERVATIONS:
        if getattr(model, name) is not None:
            state.put_arrays(f"rollout/{name}", getattr(model, name))
    for network, states in enumerate(get_lstm_states(model) or ()):
        for index, tensor in enumerate(states):
            state.put_array(f"rollout/lstm/{network}/{index}", tensor.detach().cpu().numpy())
    for name, distribution in _find_noise_distributions(model):
        for matrix in _MATRICES:
            state.put_array(f"rollout/gsde/{name}/{matrix}", getattr(distribution, matrix).detach().cpu().numpy())
    action_noise = getattr(model, "action_noise", None)
    if action_noise is not None:
        state.blobs["action_noise"] = pickle.dumps(vars(action_noise))


def restore_observations(model: BaseAlgorithm, state: CapturedState) -> None:
    """
    Restore the observations from which the rollout continues.

    :param model: the model at the start of a rollout, with restored environments
    :param state: the captured state
    """
    for name in ROLLOUT_OBSERVATIONS:
        setattr(model, name, state.get_arrays(f"rollout/{name}"))


def forget_observations(model: BaseAlgorithm) -> None:
    """
    Make ``learn`` reset the environments.

    :param model: the model, before ``learn``
    """
    for name in ROLLOUT_OBSERVATIONS:
        setattr(model, name, None)


def restore_exploration(model: Any, state: CapturedState) -> None:
    """
    Restore recurrent states and exploration noise, which ``learn`` and the start of the rollout have changed.

    :param model: the model at the start of a rollout
    :param state: the captured state
    """
    for name, distribution in _find_noise_distributions(model):
        for matrix in _MATRICES:
            setattr(distribution, matrix, _load_tensor(model, state, f"rollout/gsde/{name}/{matrix}"))
    if not state.exactness.exact:
        return  # new episodes start with reset memory and noise
    lstm_states = get_lstm_states(model)
    if lstm_states is not None:
        restored = (
            tuple(_load_tensor(model, state, f"rollout/lstm/{network}/{index}") for index in range(len(states)))
            for network, states in enumerate(lstm_states)
        )
        set_lstm_states(model, type(lstm_states)(*restored))
    if "action_noise" in state.blobs:
        # In place: the rollout keeps a reference to this object.
        vars(model.action_noise).update(pickle.loads(state.blobs["action_noise"]))


def _find_noise_distributions(model: Any) -> Iterator[tuple[str, StateDependentNoiseDistribution]]:
    for name, module in model.policy.named_modules():
        distribution = getattr(module, "action_dist", None)
        if isinstance(distribution, StateDependentNoiseDistribution):
            yield name or "policy", distribution


def _load_tensor(model: BaseAlgorithm, state: CapturedState, name: str) -> torch.Tensor:
    return torch.as_tensor(state.get_array(name), device=model.device)
