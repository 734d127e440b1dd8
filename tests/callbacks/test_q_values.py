from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger

from sb3_ext.callbacks import EpisodeLoggingCallback, QValuesCallback

MakeModel = Callable[..., BaseAlgorithm]

VALUE_BASED = ["dqn", "qrdqn", "sac", "td3", "ddpg", "tqc", "crossq"]


class ValueRecorder(KVWriter):
    def __init__(self) -> None:
        self.values: list[dict[str, Any]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        self.values.append(dict(key_values))

    def close(self) -> None:
        pass


class BatchRecorder(BaseCallback):
    """Keeps every minibatch that the model draws, with a copy of the policy as it is then."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[Any, Any]] = []

    def _on_training_start(self) -> None:
        sample = self.model.replay_buffer.sample

        def sample_and_keep(*arguments: Any, **keywords: Any) -> Any:
            batch = sample(*arguments, **keywords)
            self.batches.append((batch, copy.deepcopy(self.model.policy)))
            return batch

        self.model.replay_buffer.sample = sample_and_keep

    def _on_step(self) -> bool:
        return True


def learn(model: BaseAlgorithm, *callbacks: BaseCallback, steps: int = 40) -> list[dict[str, Any]]:
    """:return: what was logged, a dictionary a dump"""
    recorder = ValueRecorder()
    model.set_logger(Logger(None, [recorder]))
    model.learn(steps, callback=[*callbacks, EpisodeLoggingCallback(10**6, every_steps=10**6)], log_interval=None)
    return recorder.values


def compute_mean_q(name: str, policy: Any, batch: Any) -> float:
    policy.set_training_mode(True)
    if name == "dqn":
        q_values = policy.q_net(batch.observations).max(dim=1).values
    elif name == "qrdqn":
        q_values = policy.quantile_net(batch.observations).mean(dim=1).max(dim=1).values
    elif name == "tqc":
        q_values = policy.critic(batch.observations, batch.actions)
    else:
        q_values = torch.cat(policy.critic(batch.observations, batch.actions), dim=1)
    return q_values.mean().item()


def compute_td_error(name: str, policy: Any, batch: Any, gamma: float) -> float:
    if name == "dqn":
        q_values = policy.q_net(batch.observations)
        next_q_values = policy.q_net_target(batch.next_observations)
    else:
        q_values = policy.quantile_net(batch.observations).mean(dim=1)
        next_q_values = policy.quantile_net_target(batch.next_observations).mean(dim=1)
    best = next_q_values.max(dim=1, keepdim=True).values
    targets = batch.rewards + (1 - batch.dones) * gamma * best
    return (targets - q_values.gather(1, batch.actions.long())).abs().mean().item()


@pytest.mark.parametrize("name", [name for name in VALUE_BASED if name != "crossq"])
def test_logs_the_mean_q_of_every_update(name: str, make_model: MakeModel) -> None:
    batches = BatchRecorder()
    values = learn(make_model(name), batches, QValuesCallback(1))
    expected = [compute_mean_q(name, policy, batch) for batch, policy in batches.batches]
    assert len(expected) == 5
    assert values[-1]["train/mean_q"] == pytest.approx(np.mean(expected), rel=1e-5)


def test_logs_only_the_replayed_half_of_the_pass_of_crossq(make_model: MakeModel) -> None:
    model = make_model("crossq")
    outputs: list[torch.Tensor] = []

    def keep(network: Any, arguments: Any, output: Any) -> None:
        if len(arguments[0]) == 2 * model.batch_size:
            outputs.append(torch.cat(output, dim=1)[: model.batch_size])

    model.critic.register_forward_hook(keep)
    values = learn(model, QValuesCallback(1))
    assert len(outputs) == 5
    assert values[-1]["train/mean_q"] == pytest.approx(torch.stack(outputs).mean().item(), rel=1e-5)


@pytest.mark.parametrize("name", ["dqn", "qrdqn"])
@pytest.mark.parametrize("n_steps", [1, 3])
def test_logs_the_td_error_of_every_update(name: str, n_steps: int, make_model: MakeModel) -> None:
    batches = BatchRecorder()
    model = make_model(name, gamma=0.9, n_steps=n_steps)
    values = learn(model, batches, QValuesCallback(1))
    expected = [
        compute_td_error(name, policy, batch, 0.9 if batch.discounts is None else batch.discounts)
        for batch, policy in batches.batches
    ]
    assert values[-1]["train/td_error"] == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.parametrize(("every_updates", "distance"), [(1, 5), (5, 5), (6, 10), (100, 25)])
def test_reads_the_first_update_of_each_interval(every_updates: int, distance: int, make_model: MakeModel) -> None:
    batches = BatchRecorder()
    # Five times five gradient steps.
    values = learn(make_model("dqn", gradient_steps=5), batches, QValuesCallback(every_updates))
    expected = [compute_mean_q("dqn", policy, batch) for batch, policy in batches.batches]
    assert len(expected) == 25
    assert values[-1]["train/mean_q"] == pytest.approx(np.mean(expected[::distance]), rel=1e-5)


@pytest.mark.parametrize("name", VALUE_BASED)
def test_training_is_bitwise_identical(name: str, make_model: MakeModel) -> None:
    # Making a model seeds the random number generators, which all share.
    plain = make_model(name)
    learn(plain, steps=60)
    logged = make_model(name)
    learn(logged, QValuesCallback(1), steps=60)
    for parameter, other in zip(plain.policy.state_dict().values(), logged.policy.state_dict().values(), strict=True):
        assert torch.equal(parameter, other)
    assert np.array_equal(plain.replay_buffer.actions, logged.replay_buffer.actions)


@pytest.mark.parametrize("name", VALUE_BASED)
def test_hooks_exist_only_during_updates(name: str, make_model: MakeModel) -> None:
    model = make_model(name)
    counts: set[int] = set()

    class CountHooks(BaseCallback):
        def _on_step(self) -> bool:
            counts.add(sum(len(module._forward_hooks) for module in self.model.policy.modules()))
            return True

    learn(model, QValuesCallback(1), CountHooks())
    assert counts == {0}
    assert not any(module._forward_hooks for module in model.policy.modules())


@pytest.mark.parametrize("name", ["ppo", "a2c", "ars", "recurrent_ppo"])
def test_logs_nothing_without_q_values(name: str, make_model: MakeModel) -> None:
    values = learn(make_model(name), QValuesCallback(1))
    assert "train/mean_q" not in values[-1]


def test_logs_no_td_error_for_an_overridden_update(make_model: MakeModel) -> None:
    model = make_model("dqn")
    train = model.train
    model.__class__ = type("OtherDQN", (type(model),), {"train": lambda self, **keywords: train(**keywords)})
    values = learn(model, QValuesCallback(1))
    assert "train/mean_q" in values[-1]
    assert "train/td_error" not in values[-1]


def test_resume_keeps_the_interval(make_model: MakeModel) -> None:
    first, second = QValuesCallback(16), QValuesCallback(16)
    model = make_model("dqn")
    assert "train/mean_q" in learn(model, first)[-1]
    second.load_state_dict(first.state_dict())
    model.learn(8, callback=second, reset_num_timesteps=False)
    assert "train/mean_q" not in model.logger.name_to_value
    model.learn(40, callback=second, reset_num_timesteps=False)
    assert "train/mean_q" in model.logger.name_to_value


def test_refuses_an_interval_that_is_not_positive() -> None:
    with pytest.raises(ValueError, match="every_updates must be positive, but got 0"):
        QValuesCallback(0)
