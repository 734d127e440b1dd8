"""The updates of SAC, TQC, TD3 and DDPG."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib import TQC
from sb3_contrib.tqc.policies import Actor as TQCActor
from sb3_contrib.tqc.policies import Critic as QuantileCritic
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN
from stable_baselines3.sac.policies import Actor as SACActor
from stable_baselines3.td3.policies import Actor as TD3Actor

from sb3_ext.engines.coverage import NotCovered, name_type
from sb3_ext.engines.xla.device_array import FloatArray, make_float_array
from sb3_ext.engines.xla.distributions import squash
from sb3_ext.engines.xla.jax_runtime import compile_program, repeat, to_numpy
from sb3_ext.engines.xla.layers import translate
from sb3_ext.engines.xla.losses import compute_quantile_loss
from sb3_ext.engines.xla.optimizers import FlatOptimizer, make_flat_optimizer
from sb3_ext.engines.xla.preprocessing import translate_extractor
from sb3_ext.engines.xla.replays import ReplayMinibatches, choose_capacity, split_steps
from sb3_ext.engines.xla.shared_array import SharedArray
from sb3_ext.engines.xla.tensor_groups import Parameters, TensorGroup
from sb3_ext.engines.xla.xla_update import XlaUpdate
from sb3_ext.internals.sb3 import add_updates, get_num_updates, update_learning_rate

State = dict[str, Any]
"""Flat arrays by name: weights, buffers of optimizers and target networks."""

_CRITICS = (ContinuousCritic, QuantileCritic)


@dataclass(frozen=True)
class _Inputs:
    """
    Arguments of a program.

    :param minibatches: what it learns from
    :param coefficients: of each optimizer, by the name of the network, shape (gradient steps, numbers)
    :param noise: standard normal numbers, shape (gradient steps, draws, batch_size, action size)
    :param is_due: whether what is not done at every gradient step is done
    """

    minibatches: ReplayMinibatches
    coefficients: dict[str, SharedArray]
    noise: FloatArray
    is_due: SharedArray


class ActorCriticUpdate(XlaUpdate):
    """
    Base class of updates of off-policy actor-critic algorithms.

    :param model: a SAC, TQC, TD3 or DDPG model
    :raises NotCovered: if its networks or optimizers are not supported
    """

    #: names of the networks that have target networks
    followed: ClassVar[tuple[str, ...]]

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        if model.use_sde:
            raise NotCovered("exploration is state-dependent (use_sde)")
        self._optimizers: dict[str, FlatOptimizer] = {
            name: make_flat_optimizer(optimizer) for name, optimizer in self._find_optimizers().items()
        }
        self._targets = {name: TensorGroup(getattr(model, f"{name}_target").parameters()) for name in self.followed}
        self._critic = translate_critic(model.critic, self._optimizers["critic"].group)
        self._critic_target = translate_critic(model.critic_target, self._targets["critic"])
        self._numbers = SharedArray((len(self._list_numbers()) + 1,))
        self._program = compile_program(self._update, ("single_is_due",))
        self._inputs: dict[tuple[int, int], _Inputs] = {}

    def __call__(self, gradient_steps: int, batch_size: int = 64) -> None:
        """
        Update the model from its replay buffer, and log what ``train`` logs.

        :param gradient_steps: number of gradient steps
        :param batch_size: rows of each minibatch
        """
        model = self.model
        self._set_training_mode()
        update_learning_rate(model, list(self._find_optimizers().values()))
        found: list[dict[str, Any]] = []
        begun = 0
        for count in split_steps(model.replay_buffer, gradient_steps, batch_size):
            inputs = self._get_inputs(count, batch_size)
            # SB3 alternates between the generators of NumPy, for rows, and torch, for noise.
            inputs.minibatches.draw(count)
            self._draw_noise(inputs.noise.tensor[:count])
            found.append(self._take_steps(inputs, begun, count))
            begun += count
        add_updates(model, gradient_steps)
        model.logger.record("train/n_updates", get_num_updates(model), exclude="tensorboard")
        self._log({name: np.concatenate([part[name] for part in found]) for name in found[0]})

    def _try(self) -> int:
        model = self.model
        count = next(split_steps(model.replay_buffer, max(1, model.gradient_steps), model.batch_size))
        inputs = self._get_inputs(count, model.batch_size)
        inputs.minibatches.take(count)
        self._draw_noise(inputs.noise.tensor[:count])
        rounds = getattr(model, "policy_delay", 1)  # for every kind of gradient step
        for place in range(rounds):
            self._take_steps(inputs, place, count)
        return rounds * count

    def _list_changed(self) -> Iterable[FlatOptimizer | TensorGroup]:
        return [*self._optimizers.values(), *self._targets.values()]

    def _get_inputs(self, count: int, batch_size: int) -> _Inputs:
        capacity = choose_capacity(count)
        key = capacity, batch_size
        num_actions = int(np.prod(self.model.action_space.shape))
        if key not in self._inputs:
            self._inputs[key] = _Inputs(
                ReplayMinibatches(self.model, capacity, batch_size),
                {name: SharedArray((capacity, each.num_coefficients)) for name, each in self._optimizers.items()},
                make_float_array((capacity, self._num_draws, batch_size, num_actions), self.model.device),
                SharedArray((capacity,), np.int32),
            )
        return self._inputs[key]

    def _take_steps(self, inputs: _Inputs, begun: int, count: int) -> dict[str, NDArray[Any]]:
        """:return: statistics by name, each of shape (count,), and ``is_due``"""
        is_due = self._plan(begun + np.arange(count))
        inputs.is_due.numpy[:count] = is_due
        state: State = {}
        for name, group in self._targets.items():
            group.attach()
            state[f"target/{name}"] = group.values.array
        steps = {}
        for name, optimizer in self._optimizers.items():
            state[f"buffers/{name}"], steps[name] = optimizer.read()
            state[f"weights/{name}"] = optimizer.group.values.array
            # The row of a step that is not taken is not used.
            places = np.cumsum(is_due) - 1 if name == self._delayed else np.arange(count)
            rows = np.empty((count, optimizer.num_coefficients), np.float32)
            optimizer.write_coefficients(steps[name], rows)
            inputs.coefficients[name].numpy[:count] = rows[np.maximum(places, 0)]
        self._numbers.numpy[:] = *self._list_numbers().values(), count
        state, statistics = self._program(
            state,
            {name: rows.array for name, rows in inputs.coefficients.items()},
            inputs.minibatches.arrays,
            inputs.noise.array,
            inputs.is_due.array,
            self._numbers.array,
            single_is_due=bool(is_due[0]) if len(inputs.is_due.numpy) == 1 else None,
        )
        for name, group in self._targets.items():
            if f"target/{name}" in state:
                group.values.write(state[f"target/{name}"])
        for name, optimizer in self._optimizers.items():
            taken = int(is_due.sum()) if name == self._delayed else count
            if taken:
                optimizer.write(state[f"weights/{name}"], state[f"buffers/{name}"], steps[name] + taken)
        table = to_numpy(statistics)[:count]
        return {**{name: table[:, place] for place, name in enumerate(self._statistics)}, "is_due": is_due}

    def _update(
        self,
        state: State,
        coefficients: Any,
        rows: Any,
        noise: Any,
        is_due: Any,
        numbers: Any,
        *,
        single_is_due: bool | None,
    ) -> tuple[State, Any]:
        named = dict(zip(self._list_numbers(), numbers, strict=False))

        def learn(place: Any, carry: Any) -> Any:
            state, statistics = carry
            batch, draws, due, row = jax.tree.map(lambda values: values[place], (rows, noise, is_due, coefficients))
            batch.setdefault("discounts", named["gamma"])
            due = due > 0 if single_is_due is None else single_is_due
            state, found = self._learn(dict(state), batch, draws, due, row, named)
            return state, statistics.at[place].set(jnp.stack([found[name] for name in self._statistics]))

        statistics = jnp.zeros((len(noise), len(self._statistics)), jnp.float32)
        after, statistics = repeat(learn, len(noise), numbers[-1], (state, statistics))
        # A program for a single step is compiled for what it does, and returns only what it changes.
        return {name: values for name, values in after.items() if values is not state[name]}, statistics

    def _step(self, name: str, state: State, gradients: Any, row: Any) -> None:
        """Take a step of an optimizer, in place."""
        gradient = self._optimizers[name].group.flatten(gradients)
        weights, buffers = f"weights/{name}", f"buffers/{name}"
        state[weights], state[buffers] = self._optimizers[name].update(
            state[weights], gradient, state[buffers], row[name]
        )

    def _get_parts(self, name: str, state: State) -> Parameters:
        return self._optimizers[name].group.unflatten(state[f"weights/{name}"])

    def _get_target_parts(self, name: str, state: State) -> Parameters:
        return self._targets[name].unflatten(state[f"target/{name}"])

    def _follow(self, name: str, state: State, numbers: Any) -> None:
        target = f"target/{name}"
        state[target] = (1 - numbers["tau"]) * state[target] + numbers["tau"] * state[f"weights/{name}"]

    @abstractmethod
    def _find_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """:return: optimizers of the model, by name of the trained network"""

    @abstractmethod
    def _plan(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """
        :param places: indices of gradient steps within this update
        :return: whether what is not done at every gradient step is done at these
        """

    @abstractmethod
    def _list_numbers(self) -> dict[str, float]:
        """:return: hyperparameters that callbacks may change"""

    @abstractmethod
    def _draw_noise(self, noise: torch.Tensor) -> None:
        """Draw torch's random numbers of ``train``; shape (gradient steps, draws, batch_size, action size)."""

    @abstractmethod
    def _learn(self, state: State, batch: Any, draws: Any, due: Any, row: Any, numbers: Any) -> tuple[State, Any]:
        """:return: the state after one gradient step, and statistics by name"""

    @abstractmethod
    def _log(self, statistics: dict[str, Any]) -> None:
        """Log the values that ``train`` logs; each of the statistics has the shape (gradient steps,)."""

    #: names of the statistics that :meth:`_learn` returns
    _statistics: ClassVar[tuple[str, ...]]
    #: number of noise arrays per gradient step
    _num_draws: ClassVar[int]
    #: network that is not trained at every gradient step
    _delayed: ClassVar[str | None] = None


class SACUpdate(ActorCriticUpdate):
    """Replacement of SAC's ``train``."""

    algorithms: ClassVar[tuple[type[Any], ...]] = (SAC,)
    followed = ("critic",)
    _statistics = ("ent_coef", "ent_coef_loss", "actor_loss", "critic_loss")
    _num_draws = 2

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._actor = translate_gaussian_actor(model.actor, self._optimizers["actor"].group)

    def _find_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        model = self.model
        found = {"actor": model.actor.optimizer, "critic": model.critic.optimizer}
        return found if model.ent_coef_optimizer is None else {**found, "entropy": model.ent_coef_optimizer}

    def _plan(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        is_due: NDArray[np.bool_] = places % self.model.target_update_interval == 0
        return is_due

    def _list_numbers(self) -> dict[str, float]:
        model = self.model
        is_learned = "entropy" in self._optimizers
        return {
            "gamma": model.gamma,
            "tau": model.tau,
            "target_entropy": model.target_entropy if is_learned else 0.0,
            "ent_coef": 0.0 if is_learned else model.ent_coef_tensor.item(),
        }

    def _draw_noise(self, noise: torch.Tensor) -> None:
        draw_normal(noise)

    def _learn(self, state: State, batch: Any, draws: Any, due: Any, row: Any, numbers: Any) -> tuple[State, Any]:
        actor_parts = self._get_parts("actor", state)

        def act(parts: Parameters, observations: Any, draw: Any) -> tuple[Any, Any]:
            return squash(*self._actor(parts, observations), draw)

        (actions, log_prob), pull = jax.vjp(lambda parts: act(parts, batch["observations"], draws[0]), actor_parts)
        ent_coef, ent_coef_loss = numbers["ent_coef"], jnp.zeros(())
        if "entropy" in self._optimizers:
            [log_ent_coef] = self._get_parts("entropy", state)
            ent_coef = jnp.exp(log_ent_coef)[0]
            slope = -(log_prob + numbers["target_entropy"]).mean()
            ent_coef_loss = log_ent_coef[0] * slope
            self._step("entropy", state, [slope], row)
        next_actions, next_log_prob = act(actor_parts, batch["next_observations"], draws[1])
        outputs = self._critic_target(self._get_target_parts("critic", state), batch["next_observations"], next_actions)
        values = self._estimate_next(outputs, numbers) - ent_coef * next_log_prob[:, None]
        targets = batch["rewards"] + (1 - batch["dones"]) * batch["discounts"] * values

        def compute_critic_loss(parts: Parameters) -> Any:
            return self._compute_critic_loss(self._critic(parts, batch["observations"], batch["actions"]), targets)

        critic_loss, gradients = jax.value_and_grad(compute_critic_loss)(self._get_parts("critic", state))
        self._step("critic", state, gradients, row)
        critic_parts = self._get_parts("critic", state)

        def compute_actor_loss(actions: Any, log_prob: Any) -> Any:
            value = self._estimate(self._critic(critic_parts, batch["observations"], actions))
            return (ent_coef * log_prob - value).mean()

        actor_loss, slopes = jax.value_and_grad(compute_actor_loss, (0, 1))(actions, log_prob)
        [gradients] = pull(slopes)
        self._step("actor", state, gradients, row)
        followed = dict(state)
        self._follow("critic", followed, numbers)
        target = "target/critic"
        state[target] = select(due, lambda: followed[target], lambda: state[target])
        return state, {
            "ent_coef": ent_coef,
            "ent_coef_loss": ent_coef_loss,
            "actor_loss": actor_loss,
            "critic_loss": critic_loss,
        }

    def _estimate_next(self, outputs: Any, numbers: Any) -> Any:
        """:return: values of the next states, from the outputs of the target critics, shape (batch, numbers)"""
        return outputs.min(axis=1)

    def _compute_critic_loss(self, outputs: Any, targets: Any) -> Any:
        return 0.5 * ((outputs - targets[:, None, :]) ** 2).mean(axis=(0, 2)).sum()

    def _estimate(self, outputs: Any) -> Any:
        """:return: one Q-value per row, from the outputs of the critics, shape (batch,)"""
        return outputs.min(axis=1)[:, 0]

    def _log(self, statistics: dict[str, Any]) -> None:
        names = [name for name in self._statistics if name != "ent_coef_loss" or "entropy" in self._optimizers]
        for name in names:
            self.model.logger.record(f"train/{name}", np.mean(statistics[name]))


class TQCUpdate(SACUpdate):
    """Replacement of TQC's ``train``."""

    algorithms = (TQC,)

    def _estimate_next(self, outputs: Any, numbers: Any) -> Any:
        critic = self.model.critic
        kept = critic.quantiles_total - self.model.top_quantiles_to_drop_per_net * critic.n_critics
        return jnp.sort(outputs.reshape(len(outputs), -1), axis=1)[:, :kept]

    def _compute_critic_loss(self, outputs: Any, targets: Any) -> Any:
        return compute_quantile_loss(outputs, targets[:, None, :]).mean()

    def _estimate(self, outputs: Any) -> Any:
        return outputs.mean(axis=2).mean(axis=1)


class TD3Update(ActorCriticUpdate):
    """Replacement of the ``train`` of TD3 and DDPG."""

    algorithms = (TD3,)
    followed = ("critic", "actor")
    _statistics = ("actor_loss", "critic_loss")
    _num_draws = 1
    _delayed = "actor"

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._actor = translate_plain_actor(model.actor, self._optimizers["actor"].group)
        self._actor_target = translate_plain_actor(model.actor_target, self._targets["actor"])

    def _find_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"actor": self.model.actor.optimizer, "critic": self.model.critic.optimizer}

    def _plan(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        is_due: NDArray[np.bool_] = (get_num_updates(self.model) + places + 1) % self.model.policy_delay == 0
        return is_due

    def _list_numbers(self) -> dict[str, float]:
        model = self.model
        return {"gamma": model.gamma, "tau": model.tau, "noise_clip": model.target_noise_clip}

    def _draw_noise(self, noise: torch.Tensor) -> None:
        draw_normal(noise, self.model.target_policy_noise)

    def _learn(self, state: State, batch: Any, draws: Any, due: Any, row: Any, numbers: Any) -> tuple[State, Any]:
        bound = numbers["noise_clip"]
        next_actions = self._actor_target(self._get_target_parts("actor", state), batch["next_observations"])
        next_actions = jnp.clip(next_actions + jnp.clip(draws[0], -bound, bound), -1, 1)
        outputs = self._critic_target(self._get_target_parts("critic", state), batch["next_observations"], next_actions)
        targets = batch["rewards"] + (1 - batch["dones"]) * batch["discounts"] * outputs.min(axis=1)

        def compute_critic_loss(parts: Parameters) -> Any:
            outputs = self._critic(parts, batch["observations"], batch["actions"])
            return ((outputs - targets[:, None, :]) ** 2).mean(axis=(0, 2)).sum()

        critic_loss, gradients = jax.value_and_grad(compute_critic_loss)(self._get_parts("critic", state))
        self._step("critic", state, gradients, row)

        def learn_actor() -> tuple[State, Any]:
            critic_parts = self._get_parts("critic", state)

            def compute_actor_loss(parts: Parameters) -> Any:
                actions = self._actor(parts, batch["observations"])
                return -self._critic(critic_parts, batch["observations"], actions)[:, 0].mean()

            actor_loss, gradients = jax.value_and_grad(compute_actor_loss)(self._get_parts("actor", state))
            after = dict(state)
            self._step("actor", after, gradients, row)
            for name in self.followed:
                self._follow(name, after, numbers)
            return after, actor_loss

        after, actor_loss = select(due, learn_actor, lambda: (state, jnp.zeros((), jnp.float32)))
        return after, {"actor_loss": actor_loss, "critic_loss": critic_loss}

    def _log(self, statistics: dict[str, Any]) -> None:
        record, learned = self.model.logger.record, statistics["is_due"]
        if learned.any():
            record("train/actor_loss", np.mean(statistics["actor_loss"][learned]))
        record("train/critic_loss", np.mean(statistics["critic_loss"]))


def select(condition: Any, compute: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """
    :param condition: a bool when a program is compiled, or a boolean of a program
    :param compute: function for the result if the condition is true
    :param otherwise: function for the result if it is false
    :return: the result
    """
    if isinstance(condition, bool):
        return compute() if condition else otherwise()
    return jax.lax.cond(condition, compute, otherwise)


def draw_normal(noise: torch.Tensor, std: float = 1.0) -> None:
    """
    Draw as separate calls of SB3 for each minibatch do.

    :param noise: contiguous array for the numbers, shape (…, batch_size, action size)
    :param std: standard deviation
    """
    size = noise[0, 0].numel()
    # On a CPU, torch draws 16 numbers at a time, and the last ones of an array again if their number is not a multiple
    # of 16.
    parts = [noise] if noise.device.type == "cpu" and size % 16 == 0 else noise.view(-1, size)
    for part in parts:
        part.normal_(0, std)


def translate_critic(critic: Any, group: TensorGroup) -> Callable[[Parameters, Any, Any], Any]:
    """
    :param critic: a critic of SB3 or SB3-Contrib
    :param group: group of its parameters
    :return: function from parameters, observations and actions to the outputs of the networks, shape (batch, networks,
        numbers)
    :raises NotCovered: if the critic is not supported
    """
    if type(critic) not in _CRITICS:
        raise NotCovered(f"the critic is a {name_type(critic)}")
    extract = translate_extractor(critic, critic.features_extractor, group)
    networks = [translate(network, group) for network in critic.q_networks]

    def apply(parameters: Parameters, observations: Any, actions: Any) -> Any:
        inputs = jnp.concatenate([extract(parameters, observations), actions], axis=1)
        return jnp.stack([network(parameters, inputs) for network in networks], axis=1)

    return apply


def translate_gaussian_actor(actor: Any, group: TensorGroup) -> Callable[[Parameters, Any], tuple[Any, Any]]:
    """
    :param actor: actor of SAC or TQC
    :param group: group of its parameters
    :return: function from parameters and observations to means and logarithms of standard deviations, before squashing
    :raises NotCovered: if the actor is not supported
    """
    if type(actor) not in (SACActor, TQCActor):
        raise NotCovered(f"the actor is a {name_type(actor)}")
    extract = translate_extractor(actor, actor.features_extractor, group)
    latent, mean, log_std = (translate(layer, group) for layer in (actor.latent_pi, actor.mu, actor.log_std))

    def apply(parameters: Parameters, observations: Any) -> tuple[Any, Any]:
        hidden = latent(parameters, extract(parameters, observations))
        return mean(parameters, hidden), jnp.clip(log_std(parameters, hidden), LOG_STD_MIN, LOG_STD_MAX)

    return apply


def translate_plain_actor(actor: Any, group: TensorGroup) -> Callable[[Parameters, Any], Any]:
    """
    :param actor: actor of TD3 or DDPG
    :param group: group of its parameters
    :return: function from parameters and observations to actions
    :raises NotCovered: if the actor is not supported
    """
    if type(actor) is not TD3Actor:
        raise NotCovered(f"the actor is a {name_type(actor)}")
    extract, act = translate_extractor(actor, actor.features_extractor, group), translate(actor.mu, group)
    return lambda parameters, observations: act(parameters, extract(parameters, observations))
