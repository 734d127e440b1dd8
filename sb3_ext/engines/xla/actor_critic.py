"""The updates of SAC, TQC, TD3 and DDPG."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import torch
from sb3_contrib import TQC
from sb3_contrib.tqc.policies import Actor as TQCActor
from sb3_contrib.tqc.policies import Critic as QuantileCritic
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN
from stable_baselines3.sac.policies import Actor as SACActor
from stable_baselines3.td3.policies import Actor as TD3Actor
from torch.distributions import Normal

from sb3_ext.engines.coverage import NotCovered, name_type
from sb3_ext.engines.xla.distributions import squash
from sb3_ext.engines.xla.jax_runtime import compile_program, time_program, to_numpy
from sb3_ext.engines.xla.layers import translate
from sb3_ext.engines.xla.losses import compute_quantile_loss
from sb3_ext.engines.xla.optimizers import FlatOptimizer, make_flat_optimizer
from sb3_ext.engines.xla.preprocessing import translate_extractor
from sb3_ext.engines.xla.replays import choose_capacity, draw_minibatches, make_empty_rows, split_steps
from sb3_ext.engines.xla.tensor_groups import Parameters, TensorGroup
from sb3_ext.engines.xla.xla_update import XlaUpdate
from sb3_ext.internals.sb3 import add_updates, get_num_updates, update_learning_rate

State = dict[str, Any]
"""Flat arrays by name: weights, buffers of optimizers and target networks."""

_CRITICS = (ContinuousCritic, QuantileCritic)


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
        self._program = compile_program(self._update)

    def __call__(self, gradient_steps: int, batch_size: int = 64) -> None:
        """
        Update the model from its replay buffer, and log what ``train`` logs.

        :param gradient_steps: number of gradient steps
        :param batch_size: rows of each minibatch
        """
        model = self.model
        model.policy.set_training_mode(True)
        update_learning_rate(model, list(self._find_optimizers().values()))
        found: list[dict[str, Any]] = []
        for count in split_steps(model.replay_buffer, gradient_steps, batch_size):
            capacity = choose_capacity(count)
            rows = draw_minibatches(model, count, batch_size, capacity)
            places = sum(len(part["critic_loss"]) for part in found) + np.arange(capacity)
            is_due = {name: flags & (np.arange(capacity) < count) for name, flags in self._plan(places).items()}
            noise = self._pad([self._draw_noise(batch_size) for _minibatch in range(count)], capacity)
            state, steps = self._read()
            state, statistics = self._run(state, steps, rows, noise, is_due, count)
            found.append({name: to_numpy(values)[:count] for name, values in statistics.items()})
            found[-1] |= {f"is_due/{name}": flags[:count] for name, flags in is_due.items()}
            self._write(state, {name: steps[name] + self._count(name, is_due, count) for name in steps})
        add_updates(model, gradient_steps)
        model.logger.record("train/n_updates", get_num_updates(model), exclude="tensorboard")
        self._log({name: np.concatenate([part[name] for part in found]) for name in found[0]})

    def measure(self) -> float:
        """See :meth:`~sb3_ext.engines.engine.Update.measure`."""
        model = self.model
        count = next(split_steps(model.replay_buffer, max(1, model.gradient_steps), model.batch_size))
        capacity = choose_capacity(count)
        rows = make_empty_rows(model.replay_buffer, capacity, model.batch_size)
        noise = np.zeros((capacity, self._num_draws, model.batch_size, self._action_size), np.float32)
        is_due = self._plan(np.arange(capacity))

        def run() -> Any:
            self._read()  # instead of writing, which takes as long
            return self._run(*self._read(), rows, noise, is_due, count)

        return time_program(run) / count

    @property
    def _action_size(self) -> int:
        return int(np.prod(self.model.action_space.shape))

    def _read(self) -> tuple[State, dict[str, int]]:
        state: State = {f"target/{name}": group.flatten() for name, group in self._targets.items()}
        steps = {}
        for name, optimizer in self._optimizers.items():
            state[f"buffers/{name}"], steps[name] = optimizer.read()
            state[f"weights/{name}"] = optimizer.group.flatten()
        return state, steps

    def _write(self, state: State, steps: dict[str, int]) -> None:
        for name, group in self._targets.items():
            group.write(state[f"target/{name}"])
        for name, optimizer in self._optimizers.items():
            optimizer.group.write(state[f"weights/{name}"])
            optimizer.write(state[f"buffers/{name}"], steps[name])

    def _run(self, state: State, steps: dict[str, int], rows: Any, noise: Any, is_due: Any, count: int) -> Any:
        coefficients = {}
        for name, optimizer in self._optimizers.items():
            capacity = len(noise)
            table = optimizer.compute_coefficients(steps[name], capacity)
            # The row of a step that is not taken is not used.
            taken = np.cumsum(is_due[name]) - 1 if name in is_due else np.arange(capacity)
            coefficients[name] = table[np.maximum(taken, 0)]
        return self._program(state, coefficients, rows, noise, is_due, self._list_numbers(), np.int32(count))

    def _update(
        self, state: State, coefficients: Any, rows: Any, noise: Any, is_due: Any, numbers: Any, count: Any
    ) -> tuple[State, Any]:
        def learn(place: Any, carry: Any) -> Any:
            state, statistics = carry
            batch, draws, due, row = jax.tree.map(lambda values: values[place], (rows, noise, is_due, coefficients))
            batch.setdefault("discounts", numbers["gamma"])
            state, found = self._learn(dict(state), batch, draws, due, row, numbers)
            return state, {name: values.at[place].set(found[name]) for name, values in statistics.items()}

        statistics = {name: jnp.zeros(len(noise), jnp.float32) for name in self._statistics}
        after: tuple[State, Any] = jax.lax.fori_loop(0, count, learn, (state, statistics))
        return after

    def _step(self, name: str, state: State, gradients: Any, row: Any) -> None:
        """Take a step of an optimizer, in place."""
        gradient = jnp.concatenate([part.reshape(-1) for part in gradients])
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

    def _count(self, name: str, is_due: Any, count: int) -> int:
        return int(is_due[name].sum()) if name in is_due else count

    def _pad(self, draws: list[Any], capacity: int) -> Any:
        padded = np.zeros((capacity, *draws[0].shape), np.float32)
        padded[: len(draws)] = draws
        return padded

    @abstractmethod
    def _find_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """:return: optimizers of the model, by name of the trained network"""

    @abstractmethod
    def _plan(self, places: Any) -> dict[str, Any]:
        """
        :param places: indices of gradient steps within this update
        :return: for each operation that is not done at every gradient step, whether it is done at these, by name
        """

    @abstractmethod
    def _list_numbers(self) -> dict[str, np.float32]:
        """:return: hyperparameters that callbacks may change"""

    @abstractmethod
    def _draw_noise(self, batch_size: int) -> Any:
        """:return: torch's random numbers of a gradient step of ``train``, shape (draws, batch_size, action size)"""

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

    def _plan(self, places: Any) -> dict[str, Any]:
        return {"target": places % self.model.target_update_interval == 0}

    def _list_numbers(self) -> dict[str, np.float32]:
        model = self.model
        is_learned = "entropy" in self._optimizers
        numbers = {
            "gamma": model.gamma,
            "tau": model.tau,
            "target_entropy": model.target_entropy if is_learned else 0.0,
            "ent_coef": 0.0 if is_learned else model.ent_coef_tensor.item(),
        }
        return {name: np.float32(value) for name, value in numbers.items()}

    def _draw_noise(self, batch_size: int) -> Any:
        shape = (batch_size, self._action_size)
        normal = Normal(torch.zeros(shape), torch.ones(shape), validate_args=False)
        return np.stack([normal.rsample().numpy() for _draw in range(self._num_draws)])

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
        state["target/critic"] = jnp.where(due["target"], followed["target/critic"], state["target/critic"])
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

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._actor = translate_plain_actor(model.actor, self._optimizers["actor"].group)
        self._actor_target = translate_plain_actor(model.actor_target, self._targets["actor"])

    def _find_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"actor": self.model.actor.optimizer, "critic": self.model.critic.optimizer}

    def _plan(self, places: Any) -> dict[str, Any]:
        return {"actor": (get_num_updates(self.model) + places + 1) % self.model.policy_delay == 0}

    def _list_numbers(self) -> dict[str, np.float32]:
        model = self.model
        return {
            "gamma": np.float32(model.gamma),
            "tau": np.float32(model.tau),
            "noise_clip": np.float32(model.target_noise_clip),
        }

    def _draw_noise(self, batch_size: int) -> Any:
        noise = torch.empty(batch_size, self._action_size)
        return noise.normal_(0, self.model.target_policy_noise).numpy()[None]

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

        def learn_actor(state: State) -> tuple[State, Any]:
            critic_parts = self._get_parts("critic", state)

            def compute_actor_loss(parts: Parameters) -> Any:
                actions = self._actor(parts, batch["observations"])
                return -self._critic(critic_parts, batch["observations"], actions)[:, 0].mean()

            actor_loss, gradients = jax.value_and_grad(compute_actor_loss)(self._get_parts("actor", state))
            state = dict(state)
            self._step("actor", state, gradients, row)
            for name in self.followed:
                self._follow(name, state, numbers)
            return state, actor_loss

        state, actor_loss = jax.lax.cond(
            due["actor"], learn_actor, lambda state: (state, jnp.zeros((), jnp.float32)), state
        )
        return state, {"actor_loss": actor_loss, "critic_loss": critic_loss}

    def _log(self, statistics: dict[str, Any]) -> None:
        record, learned = self.model.logger.record, statistics["is_due/actor"]
        if learned.any():
            record("train/actor_loss", np.mean(statistics["actor_loss"][learned]))
        record("train/critic_loss", np.mean(statistics["critic_loss"]))


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
