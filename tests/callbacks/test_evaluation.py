"""EvaluationCallback in the training's own process: when, of what, where it goes, and that training never notices."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from sb3_ext.callbacks import TimeBudgetCallback
from sb3_ext.callbacks.evaluation import EvaluationCallback
from sb3_ext.evaluation.evaluate import Evaluation, evaluate
from sb3_ext.phases import Phases
from sb3_ext.reports.evaluations import read_evaluations

torch.set_num_threads(1)


def make_short_cartpole(num_envs: int = 2) -> VecEnv:
    return make_vec_env("CartPole-v1", num_envs, env_kwargs={"max_episode_steps": 30})


def make_ppo(env: VecEnv | None = None) -> PPO:
    env = make_short_cartpole() if env is None else env
    policy = {"net_arch": [8]}
    return PPO("MlpPolicy", env, n_steps=16, batch_size=32, n_epochs=1, seed=1, device="cpu", policy_kwargs=policy)


def make_dqn() -> DQN:
    env = make_short_cartpole(1)
    policy = {"net_arch": [8]}
    return DQN("MlpPolicy", env, learning_starts=8, buffer_size=500, seed=1, device="cpu", policy_kwargs=policy)


def collect(callback: EvaluationCallback) -> list[tuple[int, Evaluation]]:
    results: list[tuple[int, Evaluation]] = []
    callback.on_evaluation.append(lambda step, evaluation: results.append((step, evaluation)))
    return results


def hash_weights(model: Any) -> str:
    tensors = model.policy.state_dict().values()
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors)).hexdigest()


@pytest.mark.parametrize(
    ("when", "steps"),
    [
        ({"every_steps": 64}, [64, 128, 160]),
        ({"every_steps": 50}, [64, 128, 160]),
        ({"every_steps": 64, "at_start": True, "at_end": False}, [0, 64, 128]),
        ({"every_steps": 80}, [96, 160]),
        ({"every_steps": None}, [160]),
        ({"every_steps": None, "at_end": False}, []),
        ({"every_steps": 32, "at_end": False}, [32, 64, 96, 128]),
    ],
)
def test_evaluates_at_boundaries_at_start_and_at_end(when: dict[str, Any], steps: list[int]) -> None:
    callback = EvaluationCallback(make_short_cartpole, episodes=1, **when)
    results = collect(callback)

    make_ppo().learn(160, callback=callback)
    callback.finish()
    callback.finish()

    assert [step for step, _ in results] == steps


def test_evaluates_at_the_interval_of_episodes() -> None:
    callback = EvaluationCallback(make_short_cartpole, every_steps=None, every_episodes=4, episodes=1, at_end=False)
    results = collect(callback)
    model = make_dqn()
    ends: list[int] = []

    class NoteEnds(BaseCallback):
        def _on_step(self) -> bool:
            ends.extend([self.num_timesteps] * int(self.locals["dones"].sum()))
            return True

    model.learn(200, callback=[NoteEnds(), callback])

    # DQN's boundaries are every four steps: the first one at or after the end of the episode.
    assert [step for step, _ in results] == [-(-end // 4) * 4 for end in ends[3::4] if -(-end // 4) * 4 < 200]
    assert len(results) >= 1


@pytest.mark.parametrize("make_model", [make_ppo, make_dqn])
def test_training_is_bitwise_identical(make_model: Callable[[], Any]) -> None:
    def train(callback: EvaluationCallback | None) -> str:
        model = make_model()
        model.learn(160, callback=callback)
        return hash_weights(model)

    callback = EvaluationCallback(make_short_cartpole, every_steps=32, episodes=3, deterministic=False)
    results = collect(callback)

    assert train(callback) == train(None)
    assert len(results) >= 4


def test_evaluates_the_current_model() -> None:
    callback = EvaluationCallback(make_short_cartpole, every_steps=64, episodes=4, seed=5)
    results = collect(callback)
    copies: list[Evaluation] = []
    callback.on_evaluation.append(
        lambda step, _: copies.append(evaluate(callback.model, make_short_cartpole(), 4, seed=5))
    )

    make_ppo().learn(160, callback=callback)
    callback.finish()

    assert [evaluation for _, evaluation in results] == copies
    assert all(evaluation.seed == 5 for evaluation in copies)


def test_lines_contain_evaluation_step_and_time(tmp_path: Path) -> None:
    path = tmp_path / "evaluations.jsonl"
    callback = EvaluationCallback(make_short_cartpole(), every_steps=64, episodes=3, seed=5, path=path)
    results = collect(callback)

    make_ppo().learn(160, callback=callback)
    callback.finish()

    lines = read_evaluations(path)
    assert [line.pop("step") for line in lines] == [64, 128, 160]
    elapsed = [line.pop("elapsed_seconds") for line in lines]
    assert elapsed == sorted(elapsed)
    assert elapsed[0] > 0
    assert lines == [evaluation.to_json() for _, evaluation in results]


class DumpRecorder(KVWriter):
    def __init__(self) -> None:
        self.dumps: list[tuple[int, dict[str, Any]]] = []

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        self.dumps.append((step, dict(key_values)))

    def close(self) -> None: ...


def test_logs_at_the_evaluated_step_without_dumping_the_models_log() -> None:
    def record_dumps(callback: BaseCallback | None) -> list[tuple[int, dict[str, Any]]]:
        model, recorder = make_ppo(), DumpRecorder()
        model.set_logger(Logger(folder=None, output_formats=[recorder]))
        model.learn(160, callback=callback, log_interval=2)
        return recorder.dumps

    dumps = record_dumps(EvaluationCallback(make_short_cartpole, every_steps=32, episodes=1, at_end=False))
    evaluations = [(step, values) for step, values in dumps if "eval/mean_return" in values]
    others = [(step, values.keys()) for step, values in dumps if "eval/mean_return" not in values]

    assert [step for step, _ in evaluations] == [32, 64, 96, 128]
    assert {"eval/mean_return", "eval/std_return", "eval/mean_length"} <= evaluations[0][1].keys()
    assert others == [(step, values.keys()) for step, values in record_dumps(None)]


class SucceedingEnv(gym.Env[Any, Any]):
    """One step an episode; worth 1, and a success, every second time."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)
    resets = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.resets += 1
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        is_success = self.resets % 2 == 0
        return np.zeros(1, np.float32), float(is_success), True, False, {"is_success": is_success}


def test_success_rate_is_logged_if_the_environment_reports_it() -> None:
    env = make_vec_env(SucceedingEnv, 1)
    model, recorder = make_ppo(make_vec_env(SucceedingEnv, 2)), DumpRecorder()
    model.set_logger(Logger(folder=None, output_formats=[recorder]))

    model.learn(64, callback=EvaluationCallback(env, every_steps=32, episodes=4, at_end=False))

    assert [values["eval/success_rate"] for _, values in recorder.dumps if "eval/success_rate" in values] == [0.5]


def test_training_statistics_are_copied_and_not_updated() -> None:
    def make_env(training: bool = False) -> VecNormalize:
        return VecNormalize(make_short_cartpole(), training=training)

    env = make_env()
    callback = EvaluationCallback(env, every_steps=64, episodes=3)
    results = collect(callback)
    seen: list[tuple[list[float], list[float]]] = []
    model = make_ppo(make_env(training=True))
    callback.on_evaluation.append(
        lambda *_: seen.append((env.obs_rms.mean.tolist(), model.get_vec_normalize_env().obs_rms.mean.tolist()))
    )

    model.learn(160, callback=callback)

    assert all(here == there for here, there in seen)
    assert seen[0] != seen[1]
    assert env.obs_rms.mean is not model.get_vec_normalize_env().obs_rms.mean
    assert not env.training
    assert not env.norm_reward
    assert all(value == int(value) for _, evaluation in results for value in evaluation.returns)


def test_normalised_training_needs_normalised_evaluation_environments() -> None:
    model = make_ppo(VecNormalize(make_short_cartpole()))

    with pytest.raises(ValueError, match="have no VecNormalize around them"):
        model.learn(64, callback=EvaluationCallback(make_short_cartpole(), every_steps=32))


def scripted_results(callback: EvaluationCallback, *means: float) -> None:
    """Let the callback's evaluator find these mean returns."""
    template = evaluate(make_ppo(), make_short_cartpole(), 1)
    remaining = list(means)

    class ScriptedEvaluator:
        is_busy = False

        def start(self, model: Any) -> None: ...

        def submit(self, model: Any, interruption: Any) -> None:
            self.is_busy = True

        def receive(self, timeout_seconds: float | None, interruption: Any) -> Evaluation | None:
            if not self.is_busy:
                return None
            self.is_busy = False
            return Evaluation(**{**vars(template), "mean_return": remaining.pop(0)})

        def close(self) -> None: ...

    callback._evaluator = ScriptedEvaluator()


@pytest.mark.parametrize(
    ("means", "best"),
    [
        ((1.0, 3.0, 2.0), (3.0, 64)),
        ((-5.0, -7.0, -6.0), (-5.0, 32)),
        ((float("nan"), -7.0, float("nan")), (-7.0, 64)),
        ((2.0, 2.0, 2.0), (2.0, 32)),
    ],
)
def test_stores_the_best_mean_return(means: tuple[float, ...], best: tuple[float, int]) -> None:
    callback = EvaluationCallback(make_short_cartpole, every_steps=32, at_end=False)
    scripted_results(callback, *means)

    make_ppo().learn(128, callback=callback)

    assert (callback.best_return, callback.best_step) == best


def test_a_resumed_training_evaluates_as_the_uninterrupted_one(tmp_path: Path) -> None:
    path = tmp_path / "evaluations.jsonl"
    first = EvaluationCallback(make_short_cartpole, every_steps=64, path=path, at_end=False)
    scripted_results(first, 5.0, 3.0, 4.0)
    model = make_ppo()
    states: dict[int, Any] = {}

    class Capture(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            states[self.model.num_timesteps] = json.loads(json.dumps(first.state_dict()))

    model.learn(224, callback=[first, Capture()])
    assert [line["step"] for line in read_evaluations(path)] == [64, 128, 192]

    # Back to step 160, in a new process as it were.
    second = EvaluationCallback(make_short_cartpole, every_steps=64, path=path, at_start=True, at_end=False)
    scripted_results(second, 1.0, 9.0)
    resumed = make_ppo()
    resumed.num_timesteps = 160
    second.load_state_dict(states[160])
    assert (second.best_return, second.best_step) == (5.0, 64)
    assert [line["step"] for line in read_evaluations(path)] == [64, 128]

    resumed.learn(128, callback=second, reset_num_timesteps=False)

    lines = read_evaluations(path)
    assert [(line["step"], line["mean_return"]) for line in lines] == [(64, 5), (128, 3), (192, 1), (256, 9)]
    assert (second.best_return, second.best_step) == (9.0, 256)
    assert lines[2]["elapsed_seconds"] > states[160]["elapsed_seconds"]


def test_time_is_spent_in_the_phase_evaluating() -> None:
    phases = Phases()
    entered: list[str] = []
    phases.listeners.append(entered.append)

    make_ppo().learn(
        96, callback=EvaluationCallback(make_short_cartpole, every_steps=32, episodes=1, at_end=False, phases=phases)
    )

    assert entered == ["evaluating", "starting"] * 2


def test_closes_only_the_environments_that_it_made() -> None:
    class ClosingEnv(gym.Wrapper[Any, Any, Any, Any]):
        closed = 0

        def close(self) -> None:
            ClosingEnv.closed += 1

    def make_closing() -> VecEnv:
        return make_vec_env("CartPole-v1", 2, wrapper_class=ClosingEnv)

    for env, closed in ((make_closing, 2), (make_closing(), 0)):
        ClosingEnv.closed = 0
        callback = EvaluationCallback(env, every_steps=32, episodes=1)
        make_ppo().learn(64, callback=callback)
        callback.close()
        callback.close()
        assert ClosingEnv.closed == closed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"episodes": 0}, "episodes must be positive, but got 0"),
        ({"max_steps": 0}, "max_steps must be positive, but got 0"),
        ({"every_steps": 0}, "every_steps must be positive, but got 0"),
        ({"every_episodes": -1}, "every_episodes must be positive, but got -1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluationCallback(make_short_cartpole, **arguments)


def test_background_needs_a_function() -> None:
    with pytest.raises(ValueError, match="needs a function that makes the environments"):
        EvaluationCallback(make_short_cartpole(), background=True)


def test_a_full_disk_logs_a_warning_and_training_continues(caplog: pytest.LogCaptureFixture) -> None:
    callback = EvaluationCallback(make_short_cartpole, every_steps=32, episodes=1, path="/dev/full")
    results = collect(callback)
    make_ppo().learn(64, callback=callback)
    callback.close()
    assert [step for step, _ in results] == [32]
    assert "/dev/full cannot be written; only the log has this evaluation: No space left on device" in caplog.text


@pytest.mark.parametrize("make_env", [lambda env: env, lambda env: lambda: env], ids=["environment", "function"])
def test_a_single_environment_works_as_for_stock_callbacks(make_env: Callable[[Any], Any]) -> None:
    env = gym.make("CartPole-v1", max_episode_steps=30)
    callback = EvaluationCallback(make_env(env), every_steps=32, episodes=3, seed=5, at_end=False)
    results = collect(callback)
    make_ppo().learn(64, callback=callback)
    expected = EvaluationCallback(make_short_cartpole(1), every_steps=32, episodes=3, seed=5, at_end=False)
    expected_results = collect(expected)
    make_ppo().learn(64, callback=expected)
    assert results == expected_results
    assert [step for step, _ in results] == [32]


def test_other_objects_than_environments_are_refused() -> None:
    with pytest.raises(ValueError, match="a Gymnasium environment, or a function that makes one of them"):
        EvaluationCallback("CartPole-v1")  # type: ignore[arg-type]


class EndlessEnv(SucceedingEnv):
    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.zeros(1, np.float32), 1.0, False, False, {}


def test_a_time_budget_ends_an_evaluation_and_training_at_its_boundary(caplog: pytest.LogCaptureFixture) -> None:
    budget = TimeBudgetCallback(0.3, at_boundary=True)
    callback = EvaluationCallback(EndlessEnv(), every_steps=32, max_steps=None, stops=[budget], at_end=False)
    results = collect(callback)
    model = make_ppo(make_vec_env(EndlessEnv, 2))
    with caplog.at_level(logging.INFO, "sb3_ext"):
        model.learn(10_000, callback=[budget, callback])
    assert (budget.stop_reason, model.num_timesteps, results) == ("duration", 34, [])
    assert callback.state_dict()["is_due"]
    assert callback.state_dict()["last_step"] is None
    assert "evaluation at step 32: not finished: duration" in caplog.messages


def test_the_final_evaluation_ignores_the_stop_that_ended_training() -> None:
    budget = TimeBudgetCallback(0.3, at_boundary=True)
    callback = EvaluationCallback(EndlessEnv(), every_steps=None, episodes=2, max_steps=20, stops=[budget])
    results = collect(callback)
    make_ppo(make_vec_env(EndlessEnv, 2)).learn(10**6, callback=[budget, callback])
    callback.finish()
    assert [evaluation.truncated_episodes for _, evaluation in results] == [2]


def test_truncated_episodes_are_counted_in_the_logger_and_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    model, recorder = make_ppo(make_vec_env(EndlessEnv, 2)), DumpRecorder()
    model.set_logger(Logger(folder=None, output_formats=[recorder]))
    callback = EvaluationCallback(EndlessEnv(), every_steps=32, episodes=3, max_steps=7, at_end=False)
    with caplog.at_level(logging.WARNING, "sb3_ext"):
        model.learn(128, callback=callback)
    counts = [values["eval/truncated_episodes"] for _, values in recorder.dumps if "eval/mean_return" in values]
    assert counts == [3, 3, 3]
    assert [message[:73] for message in caplog.messages] == [
        "evaluation at step 32: 3 of 3 episodes had not ended after 7 steps, and w"
    ]
