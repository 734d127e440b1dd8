"""NaN and infinite observations and rewards are errors that name their source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

import sb3_ext
from sb3_ext.building.game_environments import make_game_env
from sb3_ext.building.training_environments import make_env, make_eval_env
from sb3_ext.config import load_config
from sb3_ext.runs.paths import RunPaths
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.vec import VecCheckFinite
from sb3_ext.vec.check_finite import NonFiniteError

DICT = spaces.Dict({"place": spaces.Discrete(2), "speed": spaces.Box(-9.0, 9.0, (2, 2))})


class SickEnv(gymnasium.Env[Any, Any]):
    """
    Episodes of ten steps; in one step of one of them something is not finite.

    :param where: observation, last (of an episode), reset, reward; in ``at_episode``, at ``at_step``
    :param only_seed: the environment that was reset with this seed; all of them when left out
    """

    observation_space = DICT
    action_space = spaces.Discrete(2)

    def __init__(
        self, where: str, at_step: int = 3, at_episode: int = 2, only_seed: int | None = None, value: float = np.nan
    ) -> None:
        self._where, self._place, self._only_seed, self._value = where, (at_episode, at_step), only_seed, value
        self._episode = self._step = 0
        self._is_sick = True

    def _show(self, value: float) -> dict[str, Any]:
        return {"place": 1, "speed": np.array([[0.0, 1.0], [value, 2.0]], np.float32)}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            self._is_sick = self._only_seed in (None, seed)
        self._episode, self._step = self._episode + 1, 0
        is_sick = self._is_sick and self._where == "reset" and self._episode == self._place[0]
        return self._show(self._value if is_sick else 0.0), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._step += 1
        value = self._value if self._is_sick and (self._episode, self._step) == self._place else 0.0
        shown = self._show(value if self._where in ("observation", "last") else 0.0)
        return shown, value if self._where == "reward" else 0.0, self._step == 10, False, {}


@pytest.fixture(autouse=True)
def sick_env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    gymnasium.register("Sick-v0", entry_point=SickEnv, disable_env_checker=True)
    yield
    del gymnasium.registry["Sick-v0"]


def make_config(where: str, **params: Any) -> dict[str, Any]:
    return {
        "seed": 5,
        "env": {
            "id": f"{__name__}:Sick-v0" if "." not in __name__ else "Sick-v0",
            "params": {"where": where, **params},
        },
        "parallel": {"mode": "sequential", "num_envs": 3},
        "agent": {"id": "ppo", "threads": 1, "params": {"n_steps": 8, "batch_size": 8, "n_epochs": 1}},
        "train": {
            "total_steps": 300,
            "callbacks": [{"type": "checkpoint", "params": {"interval": 24, "self_test": False}}],
        },
        "eval": {"episodes": 4, "every_steps": None},
    }


def step_until_it_fails(env: Any) -> None:
    env.reset()
    for _ in range(50):
        env.step(np.zeros(env.num_envs, dtype=int))


@pytest.mark.parametrize(
    ("where", "arguments", "message"),
    [
        (
            "observation",
            {},
            "the part 'speed' of the observation is nan at [1, 0], at step 39, step 3 of its episode",
        ),
        (
            "observation",
            {"value": -np.inf, "at_episode": 1},
            "the part 'speed' of the observation is -inf at [1, 0], at step 9, step 3 of its episode",
        ),
        (
            "last",
            {"at_step": 10},
            "the part 'speed' of the last observation is nan at [1, 0], at step 60, step 10 of its episode",
        ),
        ("reward", {"value": np.inf}, "the reward is inf, at step 39, step 3 of its episode"),
        ("reward", {"at_step": 10}, "the reward is nan, at step 60, step 10 of its episode"),
        (
            "reset",
            {"at_episode": 1},
            "the part 'speed' of the observation is nan at [1, 0], at its reset after 0 steps",
        ),
        (
            "reset",
            {},
            "the part 'speed' of the observation is nan at [1, 0], at its reset after 30 steps",
        ),
    ],
)
def test_the_error_names_environment_part_and_step(where: str, arguments: dict[str, Any], message: str) -> None:
    config = load_config(make_config(where, only_seed=6, **arguments))
    env = make_env(config, RunPaths(Path("run").absolute()))
    with pytest.raises(NonFiniteError) as caught:
        step_until_it_fails(env)
    assert str(caught.value) == f"environment 1 of Sick-v0: {message}"
    env.close()


def test_in_a_script() -> None:
    made = make_vec_env(SickEnv, 2, seed=1, env_kwargs={"where": "reward", "only_seed": 2})
    env = VecNormalize(VecCheckFinite(made), norm_obs_keys=["speed"])
    with pytest.raises(NonFiniteError, match=r"^environment 1: the reward is nan, at step 26, step 3 of its episode$"):
        step_until_it_fails(env)
    assert np.isfinite(env.ret_rms.mean)


def test_in_a_training_that_keeps_its_last_checkpoint() -> None:
    with pytest.raises(NonFiniteError, match="environment 2 of Sick-v0: the reward is nan"):
        sb3_ext.train(make_config("reward", only_seed=7, at_episode=4), run_dir="run")
    run = sb3_ext.load_run("run")
    assert run.status == "failed"
    assert "environment 2 of Sick-v0: the reward is nan" in run.record.stop_reason
    assert run.latest.step >= 72


def test_in_an_evaluation() -> None:
    env = make_eval_env(load_config(make_config("observation", only_seed=8)), num_envs=4)
    env.seed(5)
    with pytest.raises(NonFiniteError, match="environment 3 of Sick-v0: the part 'speed' of the observation is nan"):
        step_until_it_fails(env)
    env.close()


@pytest.mark.parametrize("masks", [False, True])
def test_in_games(masks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(
        {
            "seed": 1,
            "game": {"id": "connect4"},
            "agent": {"id": "dqn" if masks else "maskable_ppo"},
            "parallel": {"num_envs": 3},
            "train": {"opponent_sampler": {"type": "random"}},
        }
    )
    observe = Connect4.observe

    def observe_nan(self: Connect4, boards: Any, players: Any) -> Any:
        seen = observe(self, boards, players).astype(np.float32)
        seen[boards == 1] = np.nan
        return seen

    monkeypatch.setattr(Connect4, "observe", observe_nan)
    subject = "the part 'observation' of the observation" if masks else "the observation"
    for env in (make_game_env(config, Path("0"), Path("opponents")), make_eval_env(config, num_envs=2)):
        with pytest.raises(NonFiniteError, match=f"environment 1 of connect4.*: {subject} is nan at .*, at its reset"):
            env.reset()
        env.close()


def test_integers_are_not_checked() -> None:
    env = VecCheckFinite(make_vec_env("FrozenLake-v1", 2))
    assert env.reset().dtype.kind == "i"
    env.close()
