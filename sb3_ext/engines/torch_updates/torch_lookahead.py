"""The updates of LookaheadPPO and LookaheadMaskablePPO in torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sb3_ext.algorithms.lookahead_buffers import LookaheadSamples
from sb3_ext.algorithms.lookahead_ppo import LookaheadMaskablePPO, LookaheadPPO, finish_update
from sb3_ext.engines.torch_updates.action_heads import TargetHead
from sb3_ext.engines.torch_updates.feature_layer import FeatureLayer
from sb3_ext.engines.torch_updates.policy_network import PolicyNetwork
from sb3_ext.engines.torch_updates.rollout_minibatches import Minibatch
from sb3_ext.engines.torch_updates.torch_update import TorchUpdate
from sb3_ext.internals.sb3 import update_learning_rate

_MEASURED = 2  # minibatches


class TorchLookaheadUpdate(TorchUpdate):
    """
    Replacement of their ``train``.

    :param model: a LookaheadPPO or LookaheadMaskablePPO model
    :raises NotCovered: if its policy is not supported
    """

    algorithms = (LookaheadPPO, LookaheadMaskablePPO)

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._network = PolicyNetwork(model.policy, TargetHead([int(model.action_space.n)]))
        self._graph = self._make_graph()

    def _list_features(self) -> Sequence[FeatureLayer]:
        return self._network.list_features()

    def _update(self) -> None:
        model, step, buffer = self.model, self._steps["policy"], self.model.rollout_buffer
        model.policy.set_training_mode(True)
        update_learning_rate(model, model.policy.optimizer)
        step.begin()
        losses = [self._learn(batch) for _ in range(model.n_epochs) for batch in buffer.get(model.batch_size)]
        step.finish()
        finish_update(model, torch.stack(losses).cpu().numpy())

    def _try(self) -> int:
        model, buffer = self.model, self.model.rollout_buffer
        size = min(model.batch_size, buffer.buffer_size * model.n_envs)
        observations = buffer.to_torch(buffer.observations.reshape(-1, *buffer.obs_shape)[:size])
        row = observations.new_zeros(size, dtype=torch.float32)
        targets = row.new_full((size, int(model.action_space.n)), 1 / int(model.action_space.n))
        masks = torch.ones_like(targets) if isinstance(model, LookaheadMaskablePPO) else None
        for _ in range(_MEASURED):
            self._learn(LookaheadSamples(observations, row[:, None], row, row, row, targets, masks))
        return _MEASURED

    def _learn(self, batch: LookaheadSamples) -> torch.Tensor:
        """:return: losses of policy, values and entropy"""
        graph, model = self._graph, self.model
        if graph is None:
            return self._take_step(batch)

        def learn(inputs: Any, outputs: dict[str, torch.Tensor]) -> None:
            outputs["losses"].copy_(self._take_step(LookaheadSamples(**inputs)))

        constants = model.vf_coef, model.ent_coef, model.max_grad_norm
        graph.begin(learn, constants, [*model.policy.parameters(), *model.policy.buffers()])
        found = {"losses": torch.zeros(3, device=model.device)}
        graph.learn(batch._asdict(), found)
        return found["losses"]

    def _take_step(self, batch: LookaheadSamples) -> torch.Tensor:
        """:return: losses of policy, values and entropy"""
        model, step, size = self.model, self._steps["policy"], len(batch.returns)
        inputs = {name: part for name, part in batch._asdict().items() if name not in ("actions", "move_targets")}
        targets = batch.move_targets
        values, log_probs, entropies = self._network.forward(
            Minibatch(**inputs, actions=targets, old_log_prob=batch.old_values)
        )
        errors = values - batch.returns
        self._network.backward(
            errors.mul(2 * model.vf_coef / size), torch.full_like(log_probs, -1 / size), model.ent_coef / size
        )
        step.average()
        step.clip(model.max_grad_norm)
        step.take()
        return torch.stack([-log_probs.mean(), errors.square().mean(), entropies.mean()])
