"""``train.curriculum``: stages begin by their rules, and a resumed run has the same ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from run_digests import digest_run
from sb3_ext.building.training_environments import make_eval_env
from sb3_ext.config import load_config
from sb3_ext.errors import ConfigError
from sb3_ext.reports.evaluations import read_evaluations
from sb3_ext.training import resume, train

Config = dict[str, Any]

BY_ATTRIBUTE = [
    {"name": "short", "set": {"length": 2}},
    {
        "name": "middle",
        "when": {"success_rate": 0.2, "window": 5},
        "set": {"length": 4},
        "call": {"set_bonus": {"bonus": 1}},
    },
    {"name": "long", "when": {"stage_steps": 64}, "set": {"length": 8}},
]
REMADE = [
    {"when": {"return": 0.2, "window": 5}, "params": {"length": 4}, "set": {"limits": [2, 3]}},
    {"when": [{"stage_steps": 64}, {"return": 100}], "call": {"set_bonus": {"bonus": 1}}},
    {"when": {"stage_steps": 32}, "params": {"slip": 0.3}},
]


def configure(stages: list[Config], **more: Any) -> Config:
    config: Config = {
        "seed": 3,
        "env": {"id": "corridor_env:Corridor-v0"},
        "parallel": {"mode": "sequential", "num_envs": 4},
        "agent": {
            "id": "ppo",
            "threads": 1,
            "engine": "stock",
            "params": {"n_steps": 8, "batch_size": 16, "n_epochs": 1, "policy_kwargs": {"net_arch": [8]}},
        },
        "train": {
            "total_steps": 320,
            "curriculum": stages,
            "callbacks": [{"type": "checkpoint", "params": {"interval": 32, "keep_last": None}}],
        },
        "eval": {"every_steps": 160, "episodes": 2, "info": ["length"]},
    }
    return {**config, **more}


def read_changes(run_dir: Path) -> list[Config]:
    changes: list[Config] = json.loads((run_dir / "metrics.json").read_text())["curriculum"]
    return changes


def test_stages_begin_by_their_rules(tmp_path: Path) -> None:
    run = train(configure(BY_ATTRIBUTE), run_dir=tmp_path / "run")

    changes = read_changes(tmp_path / "run")
    assert [(change["stage"], change["name"]) for change in changes] == [(1, "short"), (2, "middle"), (3, "long")]
    assert changes[0]["step"] == 0
    assert changes[0]["reason"] == "from the start"
    assert changes[1]["reason"].startswith("success rate 0.")
    assert changes[2]["step"] == changes[1]["step"] + 64
    lengths = np.array(run.metrics["episodes"]["length"])
    steps = np.array(run.metrics["episodes"]["step"])
    assert lengths[steps <= changes[1]["step"]].max() <= 3 * 2
    assert lengths[steps > changes[2]["step"] + 100].max() > 3 * 4
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (status["stage"], status["stages"], status["stage_name"]) == (3, 3, "long")
    logged = [stage for stage in run.metrics["training"]["curriculum/stage"] if stage is not None]
    assert logged == sorted(logged)
    assert logged[-1] == 3

    expected = digest_run(tmp_path / "run")
    resume_at(changes[1]["step"], tmp_path / "run")
    assert digest_run(tmp_path / "run") == expected
    assert read_changes(tmp_path / "run") == changes


@pytest.fixture(scope="module")
def remade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was not interrupted, with a checkpoint at every rollout."""
    directory = tmp_path_factory.mktemp("remade") / "run"
    train(configure(REMADE), run_dir=directory)
    return directory


def resume_at(step: int, run_dir: Path, *overrides: str) -> None:
    resume(run_dir / "checkpoints" / f"step_{step:09d}", rewind=True, overrides=overrides)


@pytest.mark.parametrize("position", [0, pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_resume_where_a_stage_begins_has_the_same_bits(position: int, remade: Path) -> None:
    """The environments are to be made again, but have not been yet; later they are."""
    expected, changes = digest_run(remade), read_changes(remade)
    assert len(changes) == 3
    resume_at(changes[position]["step"], remade)

    assert digest_run(remade) == expected
    assert read_changes(remade) == changes


@pytest.mark.parametrize(
    "overrides",
    [
        ["parallel.mode=workers", "parallel.num_workers=2"],
        pytest.param(["parallel.mode=subproc"], marks=pytest.mark.slow),
    ],
    ids=["workers", "subproc"],
)
def test_a_resume_may_divide_the_environments_anew(overrides: list[str], remade: Path) -> None:
    expected, changes = digest_run(remade), read_changes(remade)
    resume_at(changes[1]["step"] + 32, remade, *overrides)

    assert digest_run(remade) == expected
    assert read_changes(remade) == changes


def test_evaluations_are_in_the_final_stage_and_in_the_current_one(tmp_path: Path) -> None:
    stages = [{"when": {"return": -1, "by": "evaluation"}, "set": {"length": 8}}]
    config = configure(
        stages,
        eval=[{"every_steps": 64, "info": ["length"]}, {"stage": "current", "every_steps": 64, "info": ["length"]}],
    )
    config["train"]["total_steps"] = 128
    run = train(config, run_dir=tmp_path / "run")

    final = {line["info"]["length"][0] for line in read_evaluations(tmp_path / "run" / "evaluations.jsonl")}
    other = (tmp_path / "run" / "evaluations" / "eval_2.jsonl").read_text().splitlines()
    current = [json.loads(line)["info"]["length"][0] for line in other]
    assert final == {8.0}
    assert current[0] == 2.0
    assert set(current[1:]) == {8.0}
    assert run.metrics["curriculum"][0]["step"] == 64


def test_evaluation_environments_have_all_changes() -> None:
    env = make_eval_env(load_config(configure(REMADE)))
    inner = [layer.unwrapped for layer in env.unwrapped.envs]  # type: ignore[attr-defined]
    env.close()

    assert {(env.length, env.slip, env.bonus, env.limits) for env in inner} == {(4, 0.3, 1, (2, 3))}


LONGER = {"set": {"length": 4}}
AT_NINE = {"when": {"steps": 9}, **LONGER}
BY_EVALUATION = {"when": {"return": 1, "by": "evaluation"}, **LONGER}
MISTAKES: list[tuple[list[Config], Config, str]] = [
    ([{"set": {"lenght": 4}}], {}, "0.set.lenght: CorridorEnv has no attribute 'lenght'; did you mean 'length'?"),
    ([{"set": {"length": "four"}}], {}, "0.set.length: expected a number, as now (2), found 'four'"),
    ([{"set": {"set_bonus": 4}}], {}, "0.set.set_bonus: is a method; use call"),
    ([{"call": {"set_bonsu": None}}], {}, "0.call.set_bonsu: CorridorEnv has no method 'set_bonsu'; did you mean"),
    ([{"call": {"set_bonus": {"x": 1, "bonus": 1}}}], {}, "0.call.set_bonus.x: unknown parameter"),
    (
        [{"call": {"set_bonus": {"bonus": -1}}}],
        {},
        "0.call.set_bonus: the environment refuses it: ValueError: bonus cannot be negative, but got -1",
    ),
    ([{"params": {"size": 1}}], {}, "0.params: 'corridor_env:Corridor-v0' cannot be made"),
    ([{"set": {"__class__": 1}}], {}, "0: expected the name of an attribute or a method, found '__class__'"),
    ([{"when": {"steps": 1}}], {}, "0: this stage changes nothing; give set, call or params"),
    ([{"when": {"window": 1}, **LONGER}], {}, "0.when: no condition; give return, success_rate, steps or stage_steps"),
    ([{"when": {"success_rate": 2}, **LONGER}], {}, "0.when.success_rate: expected a number above 0 and at most 1"),
    ([{"when": [{"retrun": 2}], **LONGER}], {}, "0.when.0.retrun: unknown key; did you mean 'return'?"),
    ([{"when": {"steps": 320}, **LONGER}], {}, "0.when: never holds: 320 steps are not before train.total_steps, 320"),
    ([LONGER, LONGER], {}, "1.when: required, but missing: only the first stage can begin from the start"),
    ([AT_NINE, AT_NINE], {}, "1.when: 9 steps are not after the stage before, which begins at 9 at least"),
    ([BY_EVALUATION], {"eval": {"every_steps": None}}, "0.when.by: never holds: eval has neither every_steps nor"),
    ([BY_EVALUATION], {"eval": {"background": True}}, "0.when.by: eval.background must be false"),
]


@pytest.mark.parametrize(("stages", "more", "message"), MISTAKES)
def test_mistakes_are_found_before_a_run_starts(
    stages: list[Config], more: Config, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(configure(stages, **more), run_dir=tmp_path / "run")

    assert f"train.curriculum.{message}" in str(caught.value)
    assert len(caught.value.problems) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([LONGER], "the first evaluation chooses the best checkpoint"),
        ([], "is for train.curriculum, but there is none"),
    ],
)
def test_the_first_evaluation_is_in_the_final_stage(stages: list[Config], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"eval\.stage: {message}"):
        load_config(configure(stages, eval={"stage": "current"}))


def test_games_refuse_a_curriculum() -> None:
    game = {"game": {"id": "connect4"}, "train": {"opponent_sampler": {"type": "random"}, "curriculum": BY_ATTRIBUTE}}

    with pytest.raises(ConfigError, match=r"train\.curriculum: is for environments; a game has train.opponent_sampler"):
        load_config({"agent": {"id": "maskable_ppo"}, **game})


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kills_at_any_moment_and_other_numbers_of_processes_change_nothing(
    run_harness: Callable[..., str], tmp_path: Path
) -> None:
    stages = [
        {"set": {"force_mag": 5.0}},
        {"when": {"return": 5}, "params": {"sutton_barto_reward": True}},
        {"when": {"stage_steps": 200}, "set": {"force_mag": 20.0}},
    ]
    config = configure(stages, env={"id": "CartPole-v1", "max_steps": 20})
    config["train"]["total_steps"] = 2000
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(config))
    run_harness("kill_and_resume.py", str(tmp_path / "my.yaml"), "--kills", "4", "--elastic", "--fork")
