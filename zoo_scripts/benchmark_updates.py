"""
Compare the updates of each engine with SB3's own, and with the time of their matrix products alone.

``python zoo_scripts/benchmark_updates.py --json updates.json``

The table has the processor time of one minibatch, a median over interleaved repeats on one thread. The last column is
the time of the matrix products and convolutions alone, forward and backward, without biases, activations, losses,
sampling, clipping and optimizer steps: with torch's kernels, only algorithms with fewer products can be faster.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.engine_registry import (
    STOCK_ENGINE,
    TORCH_BFLOAT16_ENGINE,
    TORCH_ENGINE,
    XLA_ENGINE,
    get_engine,
)

FORWARD, BOTH, INPUT = "forward", "forward and backward", "forward, and backward to the inputs"
FLOOR = "matrix products alone"


class RandomImages(gymnasium.Env[Any, Any]):
    """Noise in the shape of Procgen's images."""

    observation_space = spaces.Box(0, 255, (64, 64, 3), np.uint8)
    action_space = spaces.Discrete(15)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """See :class:`gymnasium.Env`."""
        super().reset(seed=seed)
        return self._draw(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """See :class:`gymnasium.Env`."""
        return self._draw(), 1.0, bool(self.np_random.random() < 0.01), False, {}

    def _draw(self) -> Any:
        return self.np_random.integers(0, 256, (64, 64, 3), np.uint8)


@dataclass(frozen=True)
class Task:
    """
    An update that is measured.

    :param algorithm: class of the model
    :param policy: name of its policy
    :param make_env: function that makes an environment
    :param num_envs: number of environments
    :param steps: environment transitions that fill the buffer
    :param params: arguments of the model
    :param arguments: arguments of ``train``
    :param minibatches: of one call of ``train``
    """

    algorithm: type[Any]
    policy: str
    make_env: Callable[[], gymnasium.Env[Any, Any]]
    num_envs: int
    steps: int
    minibatches: int
    params: dict[str, Any] = field(default_factory=dict)
    arguments: tuple[int, ...] = ()


def _make_replay_task(algorithm: type[Any], env: str, batch_size: int, gradient_steps: int, **params: Any) -> Task:
    params |= {"learning_starts": 0, "buffer_size": 2000, "batch_size": batch_size, "gradient_steps": gradient_steps}
    make_env = lambda: gymnasium.make(env)  # noqa: E731 - a table
    return Task(algorithm, "MlpPolicy", make_env, 1, 1000, gradient_steps, params, (gradient_steps, batch_size))


_WIDE = {"net_arch": [256, 256]}
TASKS = {
    "PPO, 2 × 64-64, 256 rows": Task(
        *(PPO, "MlpPolicy", lambda: gymnasium.make("CartPole-v1"), 8, 256, 20),
        {"n_steps": 32, "batch_size": 256, "n_epochs": 20},
    ),
    "PPO, NatureCNN, 512 rows": Task(
        *(PPO, "CnnPolicy", RandomImages, 8, 1024, 2), {"n_steps": 128, "batch_size": 512, "n_epochs": 1}
    ),
    "DQN, 256-256, 64 rows, 128 steps a call": _make_replay_task(DQN, "CartPole-v1", 64, 128, policy_kwargs=_WIDE),
    "DQN, 256-256, 64 rows, 1 step a call": _make_replay_task(DQN, "CartPole-v1", 64, 1, policy_kwargs=_WIDE),
    "SAC, 256-256, 256 rows, 1 step a call": _make_replay_task(SAC, "Pendulum-v1", 256, 1),
}
"""Updates with RL Zoo's settings for CartPole-v1 and Pendulum-v1, and with images of Procgen's shape."""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write every measurement to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = {name: measure(task, options.repeats) for name, task in TASKS.items()}
    columns = (STOCK_ENGINE, TORCH_ENGINE, TORCH_BFLOAT16_ENGINE, XLA_ENGINE, FLOOR)
    print(f"| milliseconds a minibatch | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for name, found in results.items():
        print(f"| {name} | {' | '.join(_format(found, column) for column in columns)} |")
    if options.json is not None:
        options.json.write_text(json.dumps({"repeats": options.repeats, "seconds": results}, indent=2) + "\n")


def _format(found: dict[str, list[float]], column: str) -> str:
    if column not in found:
        return "-"
    medians = {name: statistics.median(values) for name, values in found.items()}
    share = "" if column == STOCK_ENGINE else f" ({medians[column] / medians[STOCK_ENGINE]:.2f})"
    return f"{1e3 * medians[column]:.2f}{share}"


def measure(task: Task, repeats: int) -> dict[str, list[float]]:
    """
    :param task: an update
    :param repeats: number of repeats
    :return: seconds of processor time of a minibatch, by engine, and of its matrix products
    """
    model = make_filled(task)
    has_convolutions = any(isinstance(module, nn.Conv2d) for module in model.policy.modules())
    # Convolutions of XLA take minutes, and only convolutions are computed in bfloat16.
    engines = (TORCH_ENGINE, TORCH_BFLOAT16_ENGINE if has_convolutions else XLA_ENGINE)
    calls: dict[str, tuple[Callable[[], Any], int]] = {}
    calls[STOCK_ENGINE] = (lambda: type(model).train(model, *task.arguments), task.minibatches)
    for engine_id in engines:
        try:
            update = get_engine(engine_id).make_update(model)
        except NotCovered:  # no instructions for bfloat16
            continue
        calls[engine_id] = (lambda update=update: update(*task.arguments), task.minibatches)
    rows = task.params["batch_size"]
    products = [product for network, kind in list_passes(model) for product in list_products(network, rows, kind)]
    calls[FLOOR] = (lambda: [product() for product in products], 1)
    found: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, (call, minibatches) in calls.items():
            began_at, count = time.process_time(), 0
            while time.process_time() - began_at < 0.02:
                call()
                count += minibatches
            if repeat:  # the first one allocates and compiles
                found[name].append((time.process_time() - began_at) / count)
    return found


def make_filled(task: Task) -> Any:
    """
    :param task: an update
    :return: a model that has collected experience and learned nothing yet
    """
    env = DummyVecEnv([task.make_env] * task.num_envs)
    model = task.algorithm(task.policy, env, seed=0, device="cpu", **task.params)
    model.train = lambda *_arguments, **_keywords: None
    model.learn(task.steps)
    del model.train
    return model


def list_passes(model: Any) -> list[tuple[nn.Module, str]]:
    """
    :param model: a PPO, DQN or SAC model
    :return: networks, and the passes of one minibatch through them
    """
    if isinstance(model, DQN):
        return [(model.q_net, BOTH), (model.q_net_target, FORWARD)]
    if isinstance(model, SAC):
        actor, critic, target = model.actor, model.critic, model.critic_target
        return [(actor, BOTH), (actor, FORWARD), (target, FORWARD), (critic, BOTH), (critic, INPUT)]
    return [(model.policy, BOTH)]


def list_products(network: nn.Module, rows: int, kind: str) -> Iterator[Callable[[], Any]]:
    """
    :param network: a network
    :param rows: rows of a minibatch
    :param kind: which passes
    :return: functions that compute the matrix products and convolutions of the passes with random numbers
    """
    seen: set[int] = set()
    shape: Sequence[int] = ()
    has_input_gradient = kind == INPUT
    for module in network.modules():
        if id(module) in seen or not isinstance(module, (nn.Linear, nn.Conv2d)):
            continue
        seen.add(id(module))
        if isinstance(module, nn.Linear):
            is_first = module.in_features <= 4  # observations of the measured tasks
            inputs, outputs = torch.randn(rows, module.in_features), torch.randn(rows, module.out_features)
            weights = module.weight.detach()
            yield lambda x=inputs, w=weights: x @ w.t()
            if kind == BOTH:
                yield lambda x=inputs, y=outputs: y.t() @ x
            if kind != FORWARD and (has_input_gradient or not is_first):
                yield lambda y=outputs, w=weights: y @ w
        else:
            is_first = not shape
            shape = shape or (module.in_channels, 64, 64)
            images = torch.randn(rows, *shape).contiguous(memory_format=torch.channels_last)
            weights, stride = module.weight.detach(), module.stride
            found = torch.conv2d(images, weights, stride=stride)
            yield lambda x=images, w=weights, s=stride: torch.conv2d(x, w, stride=s)
            if kind == BOTH:
                mask = [not is_first, True, False]
                arguments = (None, stride, (0, 0), (1, 1), False, (0, 0), 1, mask)
                yield lambda x=images, y=found, w=weights, a=arguments: torch.ops.aten.convolution_backward(y, x, w, *a)
            shape = tuple(found.shape[1:])


if __name__ == "__main__":
    main()
