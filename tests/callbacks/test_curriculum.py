"""Scripts can change their environments in stages."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from corridor_env import CorridorEnv
from sb3_ext.callbacks import CurriculumCallback, RunCheckpointCallback
from sb3_ext.errors import Sb3ExtError
from sb3_ext.vec import GymnasiumVecEnv, RemakeWrapper
from sb3_ext.vec.snapshots.exactness import Exactness

Envs = Callable[[], VecEnv]


def make_model(env: VecEnv) -> PPO:
    return PPO("MlpPolicy", env, n_steps=8, batch_size=16, n_epochs=1, seed=0, policy_kwargs={"net_arch": [4]})


def list_inner(env: VecEnv) -> list[Any]:
    assert isinstance(env.unwrapped, DummyVecEnv)
    return [layer.unwrapped for layer in env.unwrapped.envs]


def test_a_stage_changes_the_environment_and_not_its_wrapper() -> None:
    env = make_vec_env(CorridorEnv, 2)
    curriculum = CurriculumCallback([{"set": {"length": 4, "limits": [3, 4]}, "call": {"set_bonus": {"bonus": 2}}}])
    make_model(env).learn(16, callback=curriculum)

    assert [(inner.length, inner.limits, inner.bonus) for inner in list_inner(env)] == [(4, (3, 4), 2.0)] * 2
    assert "length" not in vars(env.unwrapped.envs[0])  # type: ignore[attr-defined]
    assert (curriculum.stage, curriculum.title) == (1, "stage 1")
    assert curriculum.changes == [{"stage": 1, "name": "stage 1", "step": 0, "episode": 0, "reason": "from the start"}]


def test_stages_that_are_due_together_begin_together() -> None:
    env = make_vec_env(CorridorEnv, 2)
    stages = [
        {"when": {"steps": 20}, "set": {"length": 4}},
        {"when": [{"return": 9}, {"steps": 24}], "set": {"length": 6}},
        {"when": {"steps": 24, "stage_steps": 16}, "set": {"length": 8}},
    ]
    curriculum = CurriculumCallback(stages)
    make_model(env).learn(64, callback=curriculum)

    assert [change["step"] for change in curriculum.changes] == [32, 32, 48]


def test_an_off_policy_training_has_stages() -> None:
    env = make_vec_env(CorridorEnv, 2)
    curriculum = CurriculumCallback([{"when": {"steps": 20}, "set": {"length": 4}}])
    DQN("MlpPolicy", env, buffer_size=100, learning_starts=10, policy_kwargs={"net_arch": [4]}).learn(40, curriculum)

    assert curriculum.changes[0]["step"] == 24  # rollouts of 4 steps of 2 environments
    assert {inner.length for inner in list_inner(env)} == {4}


@pytest.mark.parametrize("is_exact", [False, True], ids=["new episodes", "restored"])
def test_a_resumed_script_is_in_the_same_stage(is_exact: bool, tmp_path: Path) -> None:
    def learn(steps: int) -> tuple[CurriculumCallback, list[Any]]:
        env = make_vec_env(functools.partial(RemakeWrapper, CorridorEnv), 2, seed=0)
        model = make_model(env)
        curriculum = CurriculumCallback(
            [
                {"when": {"steps": 20}, "set": {"length": 4}},
                {"when": {"steps": 40}, "params": {"slip": 0.0}},
                {"when": {"stage_steps": 48}, "set": {"length": 6}},
            ]
        )
        checkpoints = RunCheckpointCallback(tmp_path, interval=16, exactness=Exactness(is_exact, "this test"))
        left = checkpoints.resume_if_possible(model, steps)
        model.learn(left, callback=[curriculum, checkpoints], reset_num_timesteps=False)
        checkpoints.close()
        return curriculum, [(inner.length, inner.slip) for inner in list_inner(env)]

    first, _ = learn(64)
    assert first.stage == 2
    resumed, inner = learn(128)
    assert resumed.changes[:2] == first.changes
    assert resumed.changes[2]["step"] == 96
    assert inner == [(6, 0.0)] * 2


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vector_environments_of_gymnasium_have_stages(mode: str) -> None:
    make = gymnasium.vector.SyncVectorEnv if mode == "sync" else gymnasium.vector.AsyncVectorEnv
    found = make([CorridorEnv] * 2, autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP)
    env = GymnasiumVecEnv(found)
    curriculum = CurriculumCallback([{"set": {"length": 4}, "call": {"set_bonus": {"bonus": 2}}}])
    make_model(env).learn(16, callback=curriculum)

    assert (env.get_attr("length"), env.get_attr("bonus")) == ([4, 4], [2, 2])
    env.close()


def test_a_rule_without_successes_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    curriculum = CurriculumCallback([{"when": {"success_rate": 0.5}, "set": {"force_mag": 4.0}}])
    make_model(make_vec_env("CartPole-v1", 4)).learn(800, callback=curriculum)

    assert [record.message for record in caplog.records] == [
        "curriculum: stage 1 waits for a success rate, but no episode has is_success in its last info"
    ]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "a curriculum needs at least one stage"),
        ([{"set": {}}], "stage 1: this stage changes nothing; give set, call or params"),
        ([{"set": {"x": 1}}, {"set": {"x": 2}}], "stage 2: when is required; only the first stage can begin from the"),
        ([{"when": {"return": "x"}, "set": {"x": 1}}], "stage 1: when.return: expected a finite number, found 'x'"),
        ([{"when": {"return": 1, "by": "evaluation"}, "set": {"x": 1}}], "a rule with by: evaluation needs the argume"),
    ],
)
def test_mistakes_are_explained(stages: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        CurriculumCallback(stages)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"set": {"force": 1.0}}, "the environments cannot be changed for stage 1: .*'force'"),
        ({"params": {"x": 1.0}}, "stages with params need a RemakeWrapper around each environment"),
    ],
)
def test_environments_that_cannot_be_changed_end_the_training(change: dict[str, Any], message: str) -> None:
    with pytest.raises(Sb3ExtError, match=message):
        make_model(make_vec_env("CartPole-v1", 2)).learn(16, callback=CurriculumCallback([change]))
