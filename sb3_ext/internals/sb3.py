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
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
    from stable_baselines3.common.type_aliases import GymEnv
    from stable_baselines3.common.vec_env import VecEnv
    from stable_baselines3.her.her_replay_buffer import HerReplayBuffer

NO_SETUP_ARGUMENT = "_init_setup_model"
"""The constructor argument; if false, :func:`set_up_model` makes policy, buffers and optimizer later."""

ROLLOUT_OBSERVATIONS = ("_last_obs", "_last_original_obs", "_last_episode_starts")
"""Attributes of a model from which the next rollout continues; without them, ``learn`` resets the environments."""

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
"""Counters of a model, and attributes that are computed from them. No algorithm has all of them."""


def get_torch_names(model: BaseAlgorithm) -> tuple[list[str], list[str]]:
    """
    List the attributes of a model that a stock save writes with torch.

    :param model: a model of any algorithm
    :return: dotted names of attributes with a state dict, such as ``policy.optimizer``; and names of tensors outside of
        modules, such as SAC's ``log_ent_coef``
    """
    state_dicts, tensors = model._get_torch_save_params()
    return list(state_dicts), list(tensors)


def get_unsaved_names(model: BaseAlgorithm) -> list[str]:
    """
    List the attributes of a model that a stock save leaves out.

    :param model: a model of any algorithm
    :return: names of attributes
    """
    return list(model._excluded_save_params())


def set_up_model(model: BaseAlgorithm) -> None:
    """
    Make policy, optimizer and buffers of a model that was constructed with :data:`NO_SETUP_ARGUMENT` false.

    :param model: the model, with its spaces and arguments set
    """
    model._setup_model()


def wrap_env(env: GymEnv) -> VecEnv:
    """
    Wrap environments as SB3 wraps those of a model: ``Monitor``, ``DummyVecEnv``, image transposition.

    :param env: a single environment, or a ``VecEnv``
    :return: the wrapped environments, as in a model's ``env``
    """
    from stable_baselines3.common.base_class import BaseAlgorithm

    return BaseAlgorithm._wrap_env(env)


def patch_env(env: Any) -> gymnasium.Env[Any, Any]:
    """
    Convert an environment of the old Gym as SB3's ``VecEnv`` classes do.

    :param env: a Gymnasium environment, or a Gym environment if shimmy is installed
    :return: a Gymnasium environment
    """
    from stable_baselines3.common.vec_env.patch_gym import _patch_env

    return _patch_env(env)


def get_progress_remaining(model: BaseAlgorithm) -> float:
    """
    Return the remaining progress that a model passes to its schedules.

    :param model: a model of any algorithm
    :return: 1 at the beginning of training, 0 at its end
    """
    return model._current_progress_remaining


def get_total_steps(model: BaseAlgorithm) -> int:
    """
    Return the step at which ``learn`` ends.

    :param model: the model, while ``learn`` runs
    :return: the value of ``num_timesteps`` at the end
    """
    return model._total_timesteps


def get_num_updates(model: BaseAlgorithm) -> int:
    """
    Return the number of updates of a model.

    :param model: a model of any algorithm
    :return: gradient steps of off-policy algorithms; epochs or updates of on-policy ones; 0 for ARS, which has no
        counter
    """
    return int(getattr(model, "_n_updates", 0))


def set_steps_at_start(model: BaseAlgorithm, steps: int) -> None:
    """
    Set the step from which SB3 computes its frames per second.

    :param model: the model, while ``learn`` runs
    :param steps: the value of ``num_timesteps`` at the beginning of ``learn``
    """
    model._num_timesteps_at_start = steps


def set_episode_statistics(model: BaseAlgorithm, episodes: Iterable[Any], successes: Iterable[Any]) -> None:
    """
    Replace the latest episodes, of which a model logs the means.

    :param model: a model of any algorithm
    :param episodes: episode infos of ``Monitor``, with ``r``, ``l`` and ``t``
    :param successes: values of ``is_success``
    """
    model.ep_info_buffer = deque(episodes, maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(successes, maxlen=model._stats_window_size)


def reset_environments(model: BaseAlgorithm) -> None:
    """
    Reset a model's environments, so that the next rollout begins with new episodes.

    :param model: a model with environments, between two rollouts
    """
    assert model.env is not None
    model._last_obs = model.env.reset()  # type: ignore[assignment]
    normalize = model.get_vec_normalize_env()
    if normalize is not None:
        model._last_original_obs = normalize.get_original_obs()


def get_lstm_states(model: BaseAlgorithm) -> Any:
    """
    Return the recurrent states from which the next rollout continues.

    :param model: a model of any algorithm
    :return: RecurrentPPO's named tuple of (hidden, cell) pairs; ``None`` for other algorithms
    """
    return getattr(model, "_last_lstm_states", None)


def set_lstm_states(model: Any, states: Any) -> None:
    """
    Replace the recurrent states from which the next rollout continues.

    :param model: a ``RecurrentPPO`` model
    :param states: states from :func:`get_lstm_states`
    """
    model._last_lstm_states = states


def get_open_episode_starts(buffer: HerReplayBuffer) -> NDArray[np.int64]:
    """
    Return the rows in which the unfinished episodes of a replay buffer begin.

    :param buffer: a ``HerReplayBuffer``
    :return: array of the buffer (not a copy), shape (num_envs,)
    """
    return buffer._current_ep_start


def has_action_distribution_of(policy: type[BasePolicy], stock: type[BasePolicy]) -> bool:
    """
    Return whether a policy makes the distribution of its actions as a stock class does.

    :param policy: the policy's class
    :param stock: ``ActorCriticPolicy``, or SB3-Contrib's maskable one
    :return: whether neither of the methods that do so is overridden
    """
    names = ("get_distribution", "_get_action_dist_from_latent")
    return all(getattr(policy, name) is getattr(stock, name) for name in names)


def make_action_distribution(policy: Any, latent: Any) -> Any:
    """
    Make the distribution of actions of an actor-critic policy.

    :param policy: the policy
    :param latent: features of the actor, the input of its last layer
    :return: SB3's distribution
    """
    return policy._get_action_dist_from_latent(latent)


def choose_actions(policy: BasePolicy, observation: Any) -> Any:
    """
    Choose deterministic actions, as ``predict`` does before it scales them.

    :param policy: a policy of any algorithm without recurrent states
    :param observation: a tensor, or a ``dict`` of tensors
    :return: a tensor of actions
    """
    return policy._predict(observation, deterministic=True)


def has_evaluation_of(policy: type[BasePolicy], stock: type[BasePolicy]) -> bool:
    """
    Return whether a policy evaluates actions as a stock class does.

    :param policy: the policy's class
    :param stock: ``ActorCriticPolicy``, or SB3-Contrib's maskable one
    :return: whether no method that does so is overridden
    """
    names = ("evaluate_actions", "extract_features")
    is_stock = all(getattr(policy, name) is getattr(stock, name) for name in names)
    return is_stock and has_action_distribution_of(policy, stock)


def get_extracted_space(extractor: BaseFeaturesExtractor) -> gymnasium.Space[Any]:
    """
    Return the observation space of a features extractor.

    :param extractor: a features extractor
    :return: the space that it was made for
    """
    return extractor._observation_space


def computes_like(module: Any, stock: type[Any]) -> bool:
    """
    Return whether a policy, an actor or a Q-network computes actions and values as a stock class does.

    :param module: object of the stock class, or of a class derived from it
    :param stock: a class of SB3 or SB3-Contrib
    :return: whether no method that does so is overridden, neither in a class nor in the object itself
    """
    names = (
        "forward",
        "predict",
        "_predict",
        "predict_values",
        "get_distribution",
        "_get_action_dist_from_latent",
        "get_action_dist_params",
        "extract_features",
        "obs_to_tensor",
        "is_vectorized_observation",
    )
    kind, own = type(module), vars(module)
    return all(getattr(kind, name, None) is getattr(stock, name, None) and name not in own for name in names)


def has_samples_of(buffer: Any, stock: Iterable[type[Any]]) -> bool:
    """
    Return whether a buffer makes minibatches as a stock class does.

    :param buffer: a rollout buffer
    :param stock: classes of SB3 and SB3-Contrib
    :return: whether no method that does so is overridden
    """
    kind = type(buffer)
    return any(kind.get is found.get and kind._get_samples is found._get_samples for found in stock)


def has_replay_samples_of(buffer: Any, stock: Iterable[type[Any]]) -> bool:
    """
    Return whether a replay buffer makes minibatches as a stock class does.

    :param buffer: a replay buffer
    :param stock: classes of SB3
    :return: whether no method that does so is overridden
    """
    names = ("sample", "_get_samples", "_normalize_obs", "_normalize_reward", "to_torch")
    kind = type(buffer)
    return any(all(getattr(kind, name) is getattr(found, name) for name in names) for found in stock)


def update_learning_rate(model: BaseAlgorithm, optimizers: Any) -> None:
    """
    Set the learning rate of optimizers by a model's schedule, and log it.

    :param model: a model of any algorithm
    :param optimizers: a torch optimizer, or a list of them
    """
    model._update_learning_rate(optimizers)


def sample_replay(model: Any, batch_size: int) -> Any:
    """
    Draw a minibatch as the algorithms do, normalised if the environments are.

    :param model: an off-policy model
    :param batch_size: number of rows
    :return: samples of SB3's replay buffer
    """
    return model.replay_buffer.sample(batch_size, env=model._vec_normalize_env)


def add_updates(model: Any, count: int) -> None:
    """
    Increase the number of updates of a model.

    :param model: a model of any algorithm
    :param count: number of updates to add; see :func:`get_num_updates`
    """
    model._n_updates += count


@contextmanager
def replacing_methods(model: BaseAlgorithm, methods: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """
    Replace methods of a model by functions inside the block. The functions are not saved with the model.

    :param model: a model of any algorithm
    :param methods: functions with the parameters of the methods, by the names of these
    """
    own = model._excluded_save_params
    added: dict[str, Any] = {**methods, "_excluded_save_params": lambda: [*own(), *added]}
    before = {name: vars(model)[name] for name in added if name in vars(model)}
    vars(model).update(added)
    try:
        yield
    finally:
        for name in added:
            del vars(model)[name]
        vars(model).update(before)


def get_counters(model: BaseAlgorithm) -> dict[str, Any]:
    """
    Return the counters of a model.

    :param model: a model of any algorithm
    :return: the attributes of :data:`COUNTERS` that it has, by name
    """
    return {name: getattr(model, name) for name in COUNTERS if hasattr(model, name)}


def set_counters(model: BaseAlgorithm, counters: Mapping[str, Any]) -> None:
    """
    Replace the counters of a model.

    :param model: a model of the same algorithm
    :param counters: counters from :func:`get_counters`
    """
    vars(model).update(counters)
