"""The updates of TD3 and DDPG."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import TD3

from sb3_ext.engines.xla.actor_critic import ActorCriticUpdate, State, draw_normal, select
from sb3_ext.engines.xla.actors_and_critics import translate_plain_actor
from sb3_ext.engines.xla.tensor_groups import Parameters
from sb3_ext.internals.sb3 import get_num_updates


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
