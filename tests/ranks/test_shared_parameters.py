"""All ranks have the same parameters, and a difference ends the training of all."""

from __future__ import annotations

import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from rank_processes import run_ranks
from sb3_ext.callbacks import DataParallelCallback
from sb3_ext.errors import RankLostError
from sb3_ext.ranks.rank_group import RankGroup


class _NudgeCallback(BaseCallback):
    """Change weights of this rank by one bit in the second rollout."""

    def _on_step(self) -> bool:
        if self.model.num_timesteps == 24:
            weights = self.model.policy.value_net.weight.data
            weights.copy_(torch.nextafter(weights, torch.ones(1)))
        return True


def learn_with_other_weights_on_rank_1() -> str:
    torch.set_num_threads(1)
    with RankGroup.join() as group:
        env = make_vec_env("CartPole-v1", 1, seed=group.rank)
        model = PPO("MlpPolicy", env, n_steps=8, batch_size=8, n_epochs=1, policy_kwargs={"net_arch": [4]})
        callbacks = [DataParallelCallback(group, check_every_updates=1), *([_NudgeCallback()] if group.rank else [])]
        with pytest.raises(RankLostError) as caught:
            model.learn(320, callback=callbacks)
        return str(caught.value)


def test_a_difference_of_one_bit_ends_all_ranks() -> None:
    messages = run_ranks(learn_with_other_weights_on_rank_1)
    assert len(set(messages)) == 1
    assert messages[0].startswith("the parameters of rank 1 differ from those of rank 0 at step 32; ")
