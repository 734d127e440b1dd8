"""Private names of Stable-Baselines3 and SB3-Contrib, checked with 2.9.2 of both."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gymnasium
    import numpy as np
    from numpy.typing import NDArray
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.policies import BasePolicy
    from stable_baselines3.common.type_aliases import GymEnv
    from stable_baselines3.common.vec_env import VecEnv
    from stable_baselines3.her.her_replay_buffer import HerReplayBuffer

NO_SETUP_ARGUMENT = "_init_setup_model"
"""The constructor's argument that leaves policy, buffers and optimizer to :func:`set_up_model`."""

ROLLOUT_OBSERVATIONS = ("_last_obs", "_last_original_obs", "_last_episode_starts")
"""Attributes of a model that hold where its next rollout goes on; ``learn`` resets the environments without them."""

COUNTERS = (
    "num_timesteps",
    "_num_timesteps_at_start",
    "_current_progress_remaining",
    "_episode_num",
    "_n_updates",
    "_n_calls",
    "exploration_rate",
    "old_count",  # of ARS
)
"""Attributes of a model that count, and what follows from the counts. No algorithm has all of them."""


def get_torch_names(model: BaseAlgorithm) -> tuple[list[str], list[str]]:
    """
    List what of a model a stock save writes with torch.

    :param model: any algorithm's
    :return: attributes (dotted) that have a state dict, such as ``policy.optimizer``; and those that are loose tensors,
        such as SAC's ``log_ent_coef``
    """
    state_dicts, tensors = model._get_torch_save_params()
    return list(state_dicts), list(tensors)


def get_unsaved_names(model: BaseAlgorithm) -> list[str]:
    """
    List what of a model a stock save leaves out.

    :param model: any algorithm's
    :return: attributes
    """
    return list(model._excluded_save_params())


def set_up_model(model: BaseAlgorithm) -> None:
    """
    Make policy, optimizer and buffers of a model that was constructed with :data:`NO_SETUP_ARGUMENT` false.

    :param model: with its spaces and arguments in place
    """
    model._setup_model()


def wrap_env(env: GymEnv) -> VecEnv:
    """
    Put around environments what SB3 puts around those of a model: ``Monitor``, ``DummyVecEnv``, image transposition.

    :param env: one environment, or a ``VecEnv``
    :return: what a model's ``env`` would be
    """
    from stable_baselines3.common.base_class import BaseAlgorithm

    return BaseAlgorithm._wrap_env(env)


def patch_env(env: Any) -> gymnasium.Env[Any, Any]:
    """
    Accept an environment of the old Gym as SB3's own ``VecEnv`` classes do.

    :param env: of Gymnasium, or of Gym with shimmy installed
    :return: of Gymnasium
    """
    from stable_baselines3.common.vec_env.patch_gym import _patch_env

    return _patch_env(env)


def get_progress_remaining(model: BaseAlgorithm) -> float:
    """
    Read where a model's schedules are.

    :param model: any algorithm's
    :return: 1 at the beginning of training, 0 at its end
    """
    return model._current_progress_remaining


def get_total_steps(model: BaseAlgorithm) -> int:
    """
    Read where ``learn`` ends.

    :param model: in ``learn``
    :return: the value of ``num_timesteps`` at which it ends
    """
    return model._total_timesteps


def get_num_updates(model: BaseAlgorithm) -> int:
    """
    Read how often a model was updated.

    :param model: any algorithm's; ARS, which has no such counter, counts none
    :return: gradient steps of off-policy algorithms; epochs, or updates, of on-policy ones
    """
    return int(getattr(model, "_n_updates", 0))


def set_steps_at_start(model: BaseAlgorithm, steps: int) -> None:
    """
    Set the step from which SB3 computes its frames per second.

    :param model: in ``learn``
    :param steps: the value of ``num_timesteps`` at its beginning
    """
    model._num_timesteps_at_start = steps


def set_episode_statistics(model: BaseAlgorithm, episodes: Iterable[Any], successes: Iterable[Any]) -> None:
    """
    Replace the last episodes, whose means a model logs.

    :param model: any algorithm's
    :param episodes: infos of ``Monitor``, with ``r``, ``l`` and ``t``
    :param successes: values of ``is_success``
    """
    model.ep_info_buffer = deque(episodes, maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(successes, maxlen=model._stats_window_size)


def reset_environments(model: BaseAlgorithm) -> None:
    """
    Begin new episodes in a model's environments, from which its next rollout goes on.

    :param model: with environments; not in the midst of a rollout
    """
    assert model.env is not None
    model._last_obs = model.env.reset()  # type: ignore[assignment]
    normalize = model.get_vec_normalize_env()
    if normalize is not None:
        model._last_original_obs = normalize.get_original_obs()


def get_lstm_states(model: BaseAlgorithm) -> Any:
    """
    Read the recurrent states with which a rollout goes on.

    :param model: any algorithm's
    :return: RecurrentPPO's named tuple of (hidden, cell) pairs, ``None`` for others
    """
    return getattr(model, "_last_lstm_states", None)


def set_lstm_states(model: Any, states: Any) -> None:
    """
    Replace the recurrent states with which a rollout goes on.

    :param model: a ``RecurrentPPO``
    :param states: as from :func:`get_lstm_states`
    """
    model._last_lstm_states = states


def get_open_episode_starts(buffer: HerReplayBuffer) -> NDArray[np.int64]:
    """
    Find the rows in which the episodes that have not ended begin.

    :param buffer: of hindsight experience replay
    :return: shape (num_envs,), the buffer's own array
    """
    return buffer._current_ep_start


def has_action_distribution_of(policy: type[BasePolicy], stock: type[BasePolicy]) -> bool:
    """
    Say whether a policy makes the distribution of its actions as a stock class does.

    :param policy: the policy's class
    :param stock: ``ActorCriticPolicy``, or SB3-Contrib's maskable one
    :return: whether neither of the methods that do so is overridden
    """
    names = ("get_distribution", "_get_action_dist_from_latent")
    return all(getattr(policy, name) is getattr(stock, name) for name in names)


def has_evaluation_of(policy: type[BasePolicy], stock: type[BasePolicy]) -> bool:
    """
    Say whether a policy evaluates actions as a stock class does.

    :param policy: the policy's class
    :param stock: ``ActorCriticPolicy``, or SB3-Contrib's maskable one
    :return: whether no method that does so is overridden
    """
    names = ("evaluate_actions", "extract_features")
    is_stock = all(getattr(policy, name) is getattr(stock, name) for name in names)
    return is_stock and has_action_distribution_of(policy, stock)


def has_samples_of(buffer: Any, stock: Iterable[type[Any]]) -> bool:
    """
    Say whether a buffer makes minibatches as a stock class does.

    :param buffer: a rollout buffer
    :param stock: classes of SB3 and SB3-Contrib
    :return: whether no method that does so is overridden
    """
    kind = type(buffer)
    return any(kind.get is found.get and kind._get_samples is found._get_samples for found in stock)


def update_learning_rate(model: BaseAlgorithm, optimizers: Any) -> None:
    """
    Set the learning rate of optimizers by a model's schedule, and log it.

    :param model: any algorithm's
    :param optimizers: one of torch, or a list of them
    """
    model._update_learning_rate(optimizers)


def sample_replay(model: Any, batch_size: int) -> Any:
    """
    Draw a minibatch as the algorithms do, normalised where the environments are.

    :param model: off-policy
    :param batch_size: rows
    :return: SB3's samples
    """
    return model.replay_buffer.sample(batch_size, env=model._vec_normalize_env)


def add_updates(model: Any, count: int) -> None:
    """
    Count updates of a model.

    :param model: any algorithm's
    :param count: see :func:`get_num_updates`
    """
    model._n_updates += count


@contextmanager
def replacing_train(model: BaseAlgorithm, train: Callable[..., None]) -> Iterator[None]:
    """
    Put a function in the place of a model's ``train`` inside the block. It is not saved with the model.

    :param model: any algorithm's
    :param train: takes what the model's ``train`` takes
    """
    own = model._excluded_save_params
    added: dict[str, Any] = {"train": train, "_excluded_save_params": lambda: [*own(), *added]}
    vars(model).update(added)
    try:
        yield
    finally:
        for name in added:
            del vars(model)[name]


def get_counters(model: BaseAlgorithm) -> dict[str, Any]:
    """
    Read the counters of a model.

    :param model: any algorithm's
    :return: those of :data:`COUNTERS` that it has
    """
    return {name: getattr(model, name) for name in COUNTERS if hasattr(model, name)}


def set_counters(model: BaseAlgorithm, counters: Mapping[str, Any]) -> None:
    """
    Replace the counters of a model.

    :param model: of the same algorithm
    :param counters: as from :func:`get_counters`
    """
    vars(model).update(counters)
