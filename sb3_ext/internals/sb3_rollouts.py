"""Private names of SB3 and SB3-Contrib that their loops over environment steps use, checked with 2.9.2 of both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from stable_baselines3.common.vec_env import VecNormalize


def get_last_observations(model: Any) -> Any:
    """
    Return the observations for which the next actions are chosen.

    :param model: an on-policy or off-policy model, while ``learn`` runs
    :return: an array of shape (num_envs, …), or a ``dict`` of these
    """
    return model._last_obs


def set_last_observations(model: Any, observations: Any) -> None:
    """
    Replace the observations for which the next actions are chosen.

    :param model: an on-policy or off-policy model
    :param observations: as from :func:`get_last_observations`
    """
    model._last_obs = observations


def get_last_original_observations(model: Any) -> Any:
    """
    Return the last observations before ``VecNormalize`` has normalised them.

    :param model: an off-policy model, while ``learn`` runs
    :return: an array of shape (num_envs, …), or a ``dict`` of these
    """
    return model._last_original_obs


def set_last_original_observations(model: Any, observations: Any) -> None:
    """
    Replace the last observations before ``VecNormalize`` has normalised them.

    :param model: an off-policy model
    :param observations: as from :func:`get_last_original_observations`
    """
    model._last_original_obs = observations


def get_last_episode_starts(model: Any) -> NDArray[np.bool_]:
    """
    Return where the last observations are the first ones of episodes.

    :param model: an on-policy model, while ``learn`` runs
    :return: shape (num_envs,)
    """
    starts: NDArray[np.bool_] = model._last_episode_starts
    return starts


def set_last_episode_starts(model: Any, starts: NDArray[np.bool_]) -> None:
    """
    Replace what :func:`get_last_episode_starts` returns.

    :param model: an on-policy model
    :param starts: shape (num_envs,)
    """
    model._last_episode_starts = starts


def get_normalizer(model: Any) -> VecNormalize | None:
    """
    Return what normalises the observations and rewards of a model, faster than ``get_vec_normalize_env``.

    :param model: a model of any algorithm
    :return: the ``VecNormalize`` around its environments
    """
    normalizer: VecNormalize | None = model._vec_normalize_env
    return normalizer


def update_episode_statistics(model: Any, infos: list[dict[str, Any]], dones: NDArray[np.bool_]) -> None:
    """
    Store the statistics of finished episodes, of which a model logs the means.

    :param model: a model of any algorithm
    :param infos: infos of a step
    :param dones: whether an episode has ended in each environment
    """
    model._update_info_buffer(infos, dones)


def update_progress(model: Any) -> None:
    """
    Set the remaining progress from the number of steps.

    :param model: an off-policy model, while ``learn`` runs
    """
    model._update_current_progress_remaining(model.num_timesteps, model._total_timesteps)


def count_episode(model: Any) -> int:
    """
    Count a finished episode.

    :param model: an off-policy model
    :return: number of finished episodes
    """
    model._episode_num += 1
    return int(model._episode_num)


def count_step(model: Any) -> int:
    """
    Count a step of all environments.

    :param model: a DQN or QR-DQN model
    :return: number of steps
    """
    model._n_calls += 1
    return int(model._n_calls)


def finish_step(model: Any) -> None:
    """
    Call the hook of an algorithm after each step.

    :param model: an off-policy model
    """
    model._on_step()


def sample_actions(model: Any, learning_starts: int, action_noise: Any, num_envs: int) -> tuple[Any, Any]:
    """
    Choose actions as the algorithm explores.

    :param model: an off-policy model
    :param learning_starts: step before which actions are random
    :param action_noise: noise that is added to the actions; ``None`` for none
    :param num_envs: number of environments
    :return: actions for the environments, and the same for the replay buffer
    """
    actions: tuple[Any, Any] = model._sample_action(learning_starts, action_noise, num_envs)
    return actions


def store_transition(
    model: Any,
    buffer: Any,
    actions: NDArray[Any],
    observations: Any,
    rewards: NDArray[Any],
    dones: NDArray[np.bool_],
    infos: list[dict[str, Any]],
) -> None:
    """
    Add a step of all environments to a replay buffer, and set the last observations.

    :param model: an off-policy model
    :param buffer: its replay buffer
    :param actions: actions for the replay buffer
    :param observations: next observations
    :param rewards: rewards of the step
    :param dones: whether an episode has ended in each environment
    :param infos: infos of the step
    """
    model._store_transition(buffer, actions, observations, rewards, dones, infos)


def has_method_of(found: object, stock: Iterable[type[Any]], *names: str) -> bool:
    """
    Return whether an object has the methods of one of the given classes.

    :param found: a model or a buffer
    :param stock: classes of SB3 and SB3-Contrib
    :param names: names of methods
    :return: whether none of the methods is overridden, neither in a class nor in the object itself
    """
    kind, own = type(found), vars(found)
    return any(
        all(getattr(kind, name, None) is getattr(base, name, None) and name not in own for name in names)
        for base in stock
    )


SAMPLE_ACTION = "_sample_action"
"""Method of off-policy algorithms that chooses actions."""

STORE_TRANSITION = "_store_transition"
"""Method of off-policy algorithms that adds a step to the replay buffer."""

FINISH_STEP = "_on_step"
"""Method of off-policy algorithms that is called after each step."""
