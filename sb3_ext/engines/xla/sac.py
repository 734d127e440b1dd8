"""The updates of SAC and TQC."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib import TQC
from stable_baselines3 import SAC

from sb3_ext.engines.xla.actor_critic import ActorCriticUpdate, State, draw_normal, select
from sb3_ext.engines.xla.actors_and_critics import translate_gaussian_actor
from sb3_ext.engines.xla.distributions import squash
from sb3_ext.engines.xla.losses import compute_quantile_loss
from sb3_ext.engines.xla.tensor_groups import Parameters


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
