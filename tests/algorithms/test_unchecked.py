"""Skip torch's checks of distributions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch.distributions import Categorical

from sb3_ext import train
from sb3_ext.algorithms.unchecked import skip_distribution_checks

NO_NUMBERS = torch.tensor([[torch.nan, 0.0]])


class Spoiler(BaseCallback):
    """Sets the weights to NaN between a rollout and its update."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        torch.nn.init.constant_(self.model.policy.action_net.weight, torch.nan)


def test_checks_are_skipped_only_inside_the_block() -> None:
    with skip_distribution_checks():
        assert Categorical(logits=NO_NUMBERS).log_prob(torch.tensor([0])).isnan().all()

    with pytest.raises(ValueError, match="Expected parameter logits"):
        Categorical(logits=NO_NUMBERS)


def test_nan_weights_are_still_found(tmp_path: Path) -> None:
    config = {
        "seed": 1,
        "env": {"id": "CartPole-v1"},
        "agent": {"id": "ppo", "params": {"n_steps": 32, "batch_size": 32, "n_epochs": 2}},
        "train": {"total_steps": 128, "callbacks": [{"type": "checkpoint", "params": {"self_test": False}}]},
        "eval": {"every_steps": 64, "episodes": 1},
    }
    run = train(config, run_dir=tmp_path / "run", callback=Spoiler())

    assert (run.status, run.record.stop_reason) == ("failed", "nan")
