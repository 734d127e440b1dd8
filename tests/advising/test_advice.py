"""What ``sb3-ext advise`` measures, recommends and explains."""

from __future__ import annotations

from typing import Any

import gymnasium
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_ext.advising.advice import Advice, explain_advice
from sb3_ext.advising.agent_cost import AgentCost, measure_agent
from sb3_ext.advising.trials import Trial, _time_steps, list_sections, try_section
from sb3_ext.config import RunConfig, load_config
from sb3_ext.config.parallel_schema import ParallelConfig


def load(algorithm: str = "ppo", num_envs: int = 2, **params: int) -> RunConfig:
    return load_config(
        {
            "env": {"id": "CartPole-v1"},
            "parallel": {"num_envs": num_envs},
            "agent": {
                "id": algorithm,
                "threads": 1,
                "params": {"batch_size": 16, "policy_kwargs": {"net_arch": [8]}, **params},
            },
        }
    )


def make_section(num_envs: int, workers: int | None) -> ParallelConfig:
    return ParallelConfig(mode="workers" if workers else "sequential", num_envs=num_envs, num_workers=workers)


def make_advice(
    times: dict[int | None, float], *, num_envs: int = 8, step: float = 1e-3, update: float = 1e-3, busy: float = 0.0
) -> Advice:
    """Seconds of a step of all environments by number of workers."""
    trials = tuple(Trial(make_section(num_envs, workers), seconds, 1.0) for workers, seconds in times.items())
    agent = AgentCost(times[None] + 0.5e-3, 0.1e-3, update, 1)
    return Advice(4, busy, step, agent, trials)


def explain(advice: Advice) -> str:
    return "\n".join(explain_advice(advice))


@pytest.mark.parametrize(
    ("num_envs", "cores", "workers"),
    [
        (1, 4, [None]),
        (8, 2, [None, 2, 4]),
        (8, 4, [None, 2, 4, 8]),
        (7, 2, [None]),
        (7, 4, [None, 7]),
        (64, 16, [None, 4, 8, 16, 32]),
        (2, 1, [None, 2]),
    ],
)
def test_sequential_and_sensible_numbers_of_workers_are_measured(
    num_envs: int, cores: int, workers: list[int | None]
) -> None:
    sections = list_sections(load(num_envs=num_envs), cores)
    assert [section.num_workers for section in sections] == workers
    for parallel in sections:
        assert parallel.num_envs == num_envs
        assert (parallel.num_workers or 1) * (parallel.num_envs_per_worker or num_envs) == num_envs


def test_the_fastest_mode_is_recommended() -> None:
    advice = make_advice({None: 8e-3, 2: 4.2e-3, 4: 2.3e-3})
    # 8 ms stepping, 0.5 ms collecting besides, 1 ms learning.
    assert advice.predict_fps(advice.sequential) == pytest.approx(8 / 9.5e-3)
    assert advice.predict_fps(advice.trials[2]) == pytest.approx(8 / 3.8e-3)
    assert advice.best.backend.name == "4 x 2"
    assert (
        explain(advice)
        == "4 workers of 2 environments train 2.50 times as fast as stepping one environment after the other."
    )


def test_native_batches_are_measured_too() -> None:
    advice = make_advice({None: 8e-3})
    native = Trial(ParallelConfig(mode="native", num_envs=8), 1e-3, 1.0)
    advice = Advice(4, 0.0, 1e-3, advice.agent, (advice.sequential, native))
    assert advice.best is native
    assert native.backend.name == "native"
    assert explain(advice).startswith("Native batches train 3.80 times as fast")


def test_workers_that_are_less_than_a_tenth_faster_are_not_recommended() -> None:
    assert make_advice({None: 8e-3, 2: 7.5e-3}).best.backend.name == "sequential"


def test_fast_environments_are_slower_in_workers_because_of_messages() -> None:
    text = explain(make_advice({None: 0.08e-3, 4: 0.25e-3, 8: 0.5e-3}, step=10e-6, update=10e-3))
    assert "Slower than one process: 4 x 2, 8 x 1." in text
    assert "A step of an environment takes 10 µs, and 4 x 2 adds 230 µs of messages" in text
    assert "More workers than cores (4) take turns" in text
    assert "each environment costs a message" in text
    assert "The environments take 1% of the time" in text
    assert "batch_size" in text


def test_messages_are_not_the_reason_when_environments_are_slow() -> None:
    text = explain(make_advice({None: 8e-3, 4: 9e-3}, busy=95.0))
    assert "messages" not in text
    assert "Other processes used 95 % of the CPU" in text


def test_one_environment_cannot_be_divided() -> None:
    assert "only one environment" in explain(make_advice({None: 1e-3}, num_envs=1))


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_an_agent_is_measured_by_training(algorithm: str) -> None:
    params = {"n_steps": 16} if algorithm == "ppo" else {"buffer_size": 500}
    cost = measure_agent(load(algorithm, **params), 0.3)
    assert cost.collecting_seconds is not None
    assert cost.collecting_seconds > 0
    assert cost.update_seconds > 0
    assert cost.predict_step_seconds(1.0, 0.0) >= 1.0 + cost.collecting_seconds


def test_an_agent_whose_rollouts_are_long_is_estimated() -> None:
    cost = measure_agent(load(n_steps=2**20), 0.05)
    assert cost.collecting_seconds is None
    assert cost.update_seconds > 0
    assert cost.predict_step_seconds(1.0, 0.0) == 1.0 + cost.action_seconds + cost.update_seconds


def test_a_trial_steps_the_environments() -> None:
    trial = try_section(load(), make_section(2, 2), 0.05)
    assert trial.step_seconds > 0
    assert trial.start_seconds > 0


def test_a_trial_ends_with_the_step_in_which_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    class SlowEnv(DummyVecEnv):
        def step_wait(self) -> Any:
            now[0] += 10.0
            return super().step_wait()

    monkeypatch.setattr("sb3_ext.advising.trials.time.perf_counter", lambda: now[0])
    env = SlowEnv([lambda: gymnasium.make("CartPole-v1")])
    env.reset()
    assert _time_steps(env, 2.0) == 10.0
    assert now[0] == 10.0
