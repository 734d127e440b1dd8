"""RL Zoo's hyperparameters become configurations with the same meaning; what cannot be translated is listed."""

from __future__ import annotations

import importlib.util
import logging
import runpy
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from sb3_ext.algorithms.algorithm_registry import ALGORITHMS
from sb3_ext.arguments import read_parameters
from sb3_ext.cli import cli
from sb3_ext.config import load_config, read_source
from sb3_ext.config.foreign_code import find_foreign_code
from sb3_ext.config.rl_zoo import hyperparameter_files
from sb3_ext.config.rl_zoo.hyperparameter_files import ALGORITHMS_OF_ZOO, find_entry, find_installed_folder, read_file
from sb3_ext.config.rl_zoo.python_values import parse_python
from sb3_ext.config.rl_zoo.translation import Note, Translation, translate
from sb3_ext.errors import ConfigError
from sb3_ext.training import train

FILES = Path(__file__).parents[2] / "data" / "rl_zoo"
SCRIPT = Path(__file__).parents[3] / "zoo_scripts" / "from_rl_zoo.py"


def find(name: str) -> Translation:
    return translate(find_entry(f"{FILES}/{name}"))


def test_every_kind_of_hyperparameter_has_its_key() -> None:
    assert find("ppo/CartPole-v1").content == {
        "env": {"id": "CartPole-v1"},
        "parallel": {"num_envs": 2},
        "agent": {
            "id": "ppo",
            "policy": "MlpPolicy",
            "params": {
                "n_steps": 16,
                "batch_size": 8,
                "gamma": 0.97,
                "learning_rate": "linear(0.002)",
                "clip_range": 0.3,
                "policy_kwargs": {
                    "net_arch": {"pi": [8], "vf": [8]},
                    "activation_fn": "ReLU",
                    "ortho_init": False,
                },
            },
        },
        "train": {"total_steps": 512},
        "eval": {"every_steps": 25_000, "episodes": 5},
    }
    assert find("td3/Pendulum-v1").content["agent"]["params"] == {
        "action_noise": {"type": "ornstein_uhlenbeck", "std": 0.2},
        "train_freq": [1, "episode"],
        "replay_buffer_class": "HerReplayBuffer",
        "replay_buffer_kwargs": {"goal_selection_strategy": "future", "n_sampled_goal": 4},
    }
    assert find("ars/CartPole-v1").content["agent"]["params"] == {"n_delta": 2, "delta_std": "linear(0.05)"}


def test_wrappers_and_environments_of_rl_zoo_do_not_need_it() -> None:
    assert find("ppo/MountainCarContinuous-v0").content["env"] == {
        "id": "MountainCarContinuous-v0",
        "normalize": True,
        "frame_stack": 2,
        "max_steps": 50,
        "wrappers": [{"sb3_ext_envs.wrappers.FrameSkip": {"skip": 2}}],
    }
    recurrent = find("ppo_lstm/CartPoleNoVel-v1").content
    assert recurrent["env"] == {"id": "CartPole-v1", "wrappers": ["sb3_ext_envs.wrappers.VelocityMask"]}
    assert recurrent["agent"]["id"] == "recurrent_ppo"


def test_what_cannot_be_translated_is_listed_with_its_line() -> None:
    assert find("ppo/Pendulum-v1").notes == [
        Note(32, "vec_env_wrapper", "not translated: wrappers around all environments cannot be configured"),
        Note(33, "policy_kwargs", "not a plain value or the name of a class: 'make_arguments(64)'"),
    ]
    assert find("ppo/Pendulum-v1").content["env"] == {
        "id": "Pendulum-v1",
        "normalize": {"norm_obs": True, "norm_reward": False},
        "params": {"g": 9.0},
    }
    [stacked] = find("ppo/MountainCarContinuous-v0").notes
    assert stacked == Note(38, "frame_stack", "RL Zoo stacks normalised observations; here stacked ones are normalised")
    [candidates] = find("ars/CartPole-v1").notes
    assert candidates == Note(2, "n_envs", "RL Zoo tries 4 candidates in parallel; here one environment tries all")


def test_the_warning_of_a_command_names_file_line_and_key(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        source = read_source(f"zoo:{FILES}/ppo/Pendulum-v1")
    place = f"{FILES}/ppo.yml:32: vec_env_wrapper: not translated"
    assert caplog.records[0].getMessage().startswith(place)
    assert "# ppo.yml:32: vec_env_wrapper: not translated" in source.text


def test_mistakes_are_reported_with_the_lines_of_rl_zoos_file() -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(f"zoo:{FILES}/ppo/Acrobot-v1")
    place = f"{FILES}/ppo.yml"
    assert raised.value.problems == [
        f"{place}:53: agent.params.gamma: expected a number from 0 to 1, found 7",
        f"{place}:54: agent.params.batch_sise: unknown parameter; did you mean 'batch_size'?",
    ]


def test_a_missing_package_is_named() -> None:
    with pytest.raises(ConfigError, match=r"ppo\.yml:45: env\.id: .*pip install minigrid"):
        load_config(f"zoo:{FILES}/ppo/MiniGrid-Unlock-v0")


def test_other_environments_have_the_entries_that_rl_zoo_would_use() -> None:
    assert find("ppo/Taxi-v3").content["train"] == {"total_steps": 2000}
    atari = find("ppo/PongNoFrameskip-v4")
    assert atari.content["env"] == {
        "id": "ale_py:PongNoFrameskip-v4",
        "wrappers": ["stable_baselines3.common.atari_wrappers.AtariWrapper"],
        "frame_stack": 4,
    }
    assert atari.content["eval"]["deterministic"] is False
    assert [note.key for note in atari.notes] == ["env_wrapper"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ppo", "expected ALGORITHM/ENVIRONMENT, such as ppo/CartPole-v1"),
        ("her/FetchReach-v1", "expected ALGORITHM/ENVIRONMENT"),
        (f"{FILES}/dqn/CartPole-v1", "dqn.yml: cannot be read: No such file or directory"),
        (f"{FILES}/td3/Pendulum-v0", r"td3.yml: has no hyperparameters for Pendulum-v0; did you mean 'Pendulum-v1'\?"),
    ],
)
def test_a_wrong_name_is_one_clear_line(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        read_source(f"zoo:{name}")
    assert len(raised.value.problems) == 1


def test_without_rl_zoo_the_error_has_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hyperparameter_files.importlib.util, "find_spec", lambda name: None)
    result = CliRunner().invoke(cli, ["train", "--zoo", "ppo/CartPole-v1"])
    assert result.exit_code == 2
    assert "pip install rl_zoo3" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_installed_files_are_found_without_importing_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "rl_zoo3"
    (package / "hyperparams").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "hyperparams" / "ppo.yml").write_text((FILES / "ppo.yml").read_text())
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    assert find_installed_folder() == package / "hyperparams"
    assert load_config("zoo:ppo/CartPole-v1").agent.params["n_steps"] == 16


def test_train_takes_the_hyperparameters_and_overrides(tmp_path: Path) -> None:
    arguments = ["--zoo", f"{FILES}/ppo_lstm/CartPoleNoVel-v1", "--run-dir", str(tmp_path / "run"), "--seed", "3"]
    result = CliRunner().invoke(cli, ["train", *arguments, "--set", "eval.episodes=1", "--quiet"])
    assert result.exit_code == 0, result.output
    resolved = yaml.safe_load((tmp_path / "run" / "config.resolved.yaml").read_text())
    assert resolved["seed"] == 3
    assert resolved["agent"]["params"]["policy_kwargs"]["lstm_hidden_size"] == 8
    assert (tmp_path / "run" / "config.yaml").read_text().startswith("# From RL Zoo: ppo_lstm.yml, CartPoleNoVel-v1\n")
    again = CliRunner().invoke(cli, ["train", *arguments[:4], "--resume", "--total-steps", "96", "--quiet"])
    assert again.exit_code == 0, again.output


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("dict(a=-2, b=[1, (2, None)], c={'d': True})", {"a": -2, "b": [1, [2, None]], "c": {"d": True}}),
        ("dict(optimizer_class=RMSpropTFLike, f=th.optim.Adam)", {"optimizer_class": "RMSpropTFLike", "f": "Adam"}),
        ("my_package.MyExtractor", "my_package:MyExtractor"),
    ],
)
def test_python_values_become_plain_data(text: str, value: object) -> None:
    assert parse_python(text) == value


@pytest.mark.parametrize("text", ["__import__('os').system('true')", "dict(**x)", "[x for x in y]", "1 +", "2 ** 9"])
def test_other_python_is_refused_and_not_run(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_python(text)


def test_code_of_unknown_packages_is_found_in_a_configuration() -> None:
    config = {
        "env": {"id": "evil:Env-v0", "wrappers": [{"os.system": {}}, "gymnasium.wrappers.TimeAwareObservation"]},
        "agent": {"id": "ppo", "policy": "MlpPolicy", "params": {"policy_kwargs": {"activation_fn": "evil.Act"}}},
        "train": {"callbacks": [{"type": "evil.deep:Callback"}]},
    }
    assert find_foreign_code(config) == ["evil.Act", "evil.deep:Callback", "evil:Env-v0", "os.system"]
    assert find_foreign_code(find("ppo/MiniGrid-Unlock-v0").content) == []


def test_the_script_writes_configurations_and_lists_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--hyperparams", str(FILES), "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "6 translated, 2 left out"
    assert "ppo/Acrobot-v1: left out" in lines
    assert "  ppo.yml:53: agent.params.gamma: expected a number from 0 to 1, found 7" in lines
    assert (
        "  ppo.yml:32: vec_env_wrapper: not translated: wrappers around all environments cannot be configured" in lines
    )
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.yaml"))
    assert written[:2] == ["ars/CartPole-v1.yaml", "ppo/CartPole-v1.yaml"]
    assert load_config(tmp_path / "ppo" / "CartPole-v1.yaml") == load_config(f"zoo:{FILES}/ppo/CartPole-v1")


@pytest.mark.zoo
def test_rl_zoos_own_files_translate_and_train(tmp_path: Path) -> None:
    trained, folder = 0, find_installed_folder()
    for algorithm in ALGORITHMS_OF_ZOO:
        for entry in read_file(folder / f"{algorithm}.yml"):
            if entry.env_id not in ("CartPole-v1", "Pendulum-v1", "MountainCarContinuous-v0", "Acrobot-v1"):
                continue
            small = ["train.total_steps=64", "eval.episodes=1", "env.max_steps=20", "agent.engine=stock"]
            known = read_parameters(ALGORITHMS[ALGORITHMS_OF_ZOO[algorithm]].load_class())
            small += [f"agent.params.{name}={value}" for name, value in SMALL.items() if name in known]
            directory = tmp_path / f"{algorithm}_{entry.env_id}"
            run = train(f"zoo:{folder}/{algorithm}/{entry.env_id}", run_dir=directory, overrides=small)
            assert run.status == "completed", entry.env_id
            trained += 1
    assert trained >= 20


SMALL = {"n_steps": 8, "batch_size": 8, "buffer_size": 100, "learning_starts": 10, "n_delta": 1, "n_top": 1}
