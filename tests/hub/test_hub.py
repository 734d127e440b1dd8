"""Runs go to the Hugging Face Hub and come back: the real client against a server on loopback."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from huggingface_hub import ModelCard
from stable_baselines3 import PPO

import sb3_ext
from hub_server import TOKEN, HubServer
from sb3_ext import CheckpointError
from sb3_ext.cli import cli
from sb3_ext.hub.fetched_agent import fetch_agent, pull_agent
from sb3_ext.hub.hub_client import HubError, check_login

CONFIG: dict[str, Any] = {
    "seed": 1,
    "env": {"id": "Pendulum-v1", "max_steps": 20, "normalize": True},
    "agent": {"id": "ppo", "threads": 1, "engine": "stock",
              "params": {"n_steps": 32, "batch_size": 16, "policy_kwargs": {"net_arch": [8]}}},
    "train": {"total_steps": 128, "callbacks": [{"type": "checkpoint", "params": {"interval": 64}}]},
    "eval": {"every_steps": 64, "episodes": 2},
    "tracking": {"tensorboard": None},
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("hub") / "run"
    sb3_ext.train(CONFIG, run_dir=directory)
    return directory


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """An empty Hub, with a login."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("SB3_EXT_CACHE", str(tmp_path / "cache"))
    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


@pytest.fixture
def published(server: HubServer, trained: Path) -> HubServer:
    """A Hub with the run as user/pendulum."""
    result = hub("push", trained, "user/pendulum", "--no-film")
    assert result.exit_code == 0, result.output
    return server


def hub(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["hub", *map(str, arguments)])


def enjoy(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["enjoy", *map(str, arguments)])


def test_a_published_run_comes_back_and_plays_as_before(published: HubServer, trained: Path) -> None:
    assert published.messages == ["Publish with sb3-ext"]
    files = published.repositories["user/pendulum"]
    best = sb3_ext.load_run(trained).best
    assert f"checkpoints/{best.path.resolve().name}/model.zip" in files
    result = hub("pull", "user/pendulum")
    assert result.exit_code == 0, result.output
    assert result.stdout == "runs/pendulum\n"
    pulled = sb3_ext.load_run("runs/pendulum")
    assert pulled.status == "completed"
    assert pulled.evaluate().returns == best.evaluate().returns
    played = enjoy("hf:user/pendulum", "--json", "out.json")
    assert played.exit_code == 0, played.output
    assert json.loads(Path("out.json").read_text())["returns"] == list(best.evaluate().returns)


def test_what_is_published_does_not_name_machine_user_or_paths(published: HubServer, trained: Path) -> None:
    files = published.repositories["user/pendulum"]
    assert not any(path.startswith(("logs", "tracking", "monitor", "tensorboard")) for path in files)
    assert not any("state" in path or "replay" in path for path in files if path.startswith("checkpoints/"))
    for path, data in files.items():
        if not path.endswith((".zip", ".png", ".safetensors", ".npz")):
            text = data.decode()
            for secret in (str(trained), socket.gethostname(), str(Path.home())):
                assert secret not in text, path


def test_the_card_has_metrics_configuration_and_both_ways_to_play(published: HubServer, trained: Path) -> None:
    card = ModelCard(published.repositories["user/pendulum"]["README.md"].decode())
    [result] = card.data.eval_results
    evaluation = sb3_ext.load_run(trained).best.evaluate()
    assert (result.task_type, result.dataset_name, result.metric_type) == (
        "reinforcement-learning", "Pendulum-v1", "mean_reward",
    )  # fmt: skip
    assert result.metric_value == f"{evaluation.mean_return:.2f} +/- {evaluation.std_return:.2f}"
    assert card.data.model_name == "PPO"
    assert card.data.library_name == "stable-baselines3"
    assert {"Pendulum-v1", "sb3-ext"} <= set(card.data.tags)
    assert "sb3-ext enjoy hf:user/pendulum" in card.text
    assert "from stable_baselines3 import PPO" in card.text
    assert "![Training](training_curves.png)" in card.text
    configuration = card.text.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(configuration) == CONFIG


def test_the_code_of_the_card_runs_and_takes_the_same_actions(
    published: HubServer, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = ModelCard(published.repositories["user/pendulum"]["README.md"].decode())
    code = card.text.split("```python\n")[1].split("```")[0]
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda name, path: str(Path("runs/pendulum") / path))
    pull_agent("user/pendulum", Path("runs/pendulum"))
    names: dict[str, Any] = {}
    exec(code.replace("while not done", "while False"), names)
    assert isinstance(names["model"], PPO)
    observation = names["env"].reset(seed=3)[0]
    env = sb3_ext.load_run(trained).best
    expected = sb3_ext.load(env.path)
    normalizer = _make_normalizer(trained)
    ours, _ = expected.predict(normalizer(observation), deterministic=True)
    theirs, _ = names["model"].predict(names["normalize"](observation), deterministic=True)
    assert ours == pytest.approx(theirs, abs=1e-6)


def _make_normalizer(trained: Path) -> Any:
    from stable_baselines3.common.vec_env import unwrap_vec_normalize

    from sb3_ext.agents.agent import find_agent, make_agent_env

    normalize = unwrap_vec_normalize(make_agent_env(find_agent(trained), num_envs=1))
    assert normalize is not None
    return normalize.normalize_obs


def test_a_film_is_published(server: HubServer, trained: Path) -> None:
    result = hub(
        "push", trained, "user/filmed", "--private", "--message", "first", "--checkpoint", "latest", "--episodes", 1
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == f"{server.endpoint}/user/filmed"
    assert server.messages == ["first"]
    assert server.private == {"user/filmed"}
    films = [path for path in server.repositories["user/filmed"] if path.startswith("replay.")]
    assert len(films) == 1
    assert len(server.repositories["user/filmed"][films[0]]) > 1000


def test_files_that_have_not_changed_are_fetched_once(published: HubServer) -> None:
    first = fetch_agent("hf:user/pendulum")
    count = len(published.fetched)
    assert fetch_agent("hf:user/pendulum@main").name == "main"
    assert fetch_agent("hf:user/pendulum") == first
    assert len(published.fetched) == 2 * count


def test_code_is_not_fetched(published: HubServer) -> None:
    published.repositories["user/pendulum"]["sitecustomize.py"] = b"raise SystemExit"
    published.repositories["user/pendulum"]["checkpoints/evil.pkl"] = b""
    folder = fetch_agent("hf:user/pendulum")
    assert not list(folder.rglob("*.py"))
    assert not list(folder.rglob("*.pkl"))


def test_a_configuration_that_names_other_code_needs_trust(published: HubServer) -> None:
    files = published.repositories["user/pendulum"]
    resolved = yaml.safe_load(files["config.resolved.yaml"])
    resolved["env"]["wrappers"] = [{"subprocess.Popen": {}}]
    files["config.resolved.yaml"] = yaml.safe_dump(resolved).encode()
    result = enjoy("hf:user/pendulum")
    assert result.exit_code == 2
    assert "names code, which would run: subprocess.Popen; add --trust" in result.stderr.splitlines()[-1]
    with pytest.raises(CheckpointError, match="names code, which would run"):
        sb3_ext.resume(pull_agent("user/pendulum", Path("pulled")))


def test_a_run_of_a_running_status_is_published_as_stopped(server: HubServer, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "copy", symlinks=True)
    status = tmp_path / "copy" / "status.json"
    status.write_text(json.dumps({**json.loads(status.read_text()), "status": "running", "stop_reason": None}))
    result = hub("push", "copy", "user/x", "--no-film", "--output", "out")
    assert result.exit_code == 0, result.output
    assert sb3_ext.load_run("out").status == "stopped"
    assert server.repositories == {}


def test_a_single_zip_plays_with_its_environment(server: HubServer, trained: Path) -> None:
    data = (sb3_ext.load_run(trained).best.path / "model.zip").read_bytes()
    server.repositories["other/zip"] = {"README.md": b"", "ppo-Pendulum-v1.zip": data}
    result = enjoy("hf:other/zip", "--env", "Pendulum-v1", "--algo", "ppo", "--episodes", 1, "--max-steps", 5)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pull", "user/missing"], "/user/missing: there is no such repository, or it is private"),
        (
            ["pull", "not-a-name"],
            "not-a-name: expected the name of a repository on the Hugging Face Hub, such as user/name",
        ),
        (
            ["pull", "other/notes"],
            "hf:other/notes: is neither a run, nor an agent of RL Zoo, nor a single zip; it has README.md",
        ),
        (["pull", "other/notes@old"], "/other/notes: has no such revision"),
        (["push", "RUN", "other/name", "--no-film"], "/other/name: your token does not allow this"),
        (["push", "missing", "user/name"], "missing: no run with this path"),
    ],
)
def test_a_failure_is_one_line(server: HubServer, trained: Path, arguments: list[str], message: str) -> None:
    server.repositories["other/notes"] = {"README.md": b"notes"}
    result = hub(*(trained if word == "RUN" else word for word in arguments))
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert len([line for line in result.stderr.splitlines() if line]) == 1
    assert not Path("runs").exists() or list(Path("runs").iterdir()) == []


@pytest.mark.parametrize("token", ["", "hf_wrong"])
def test_without_a_login_the_message_says_how_to_log_in(
    server: HubServer, trained: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    result = hub("push", trained, "user/x", "--no-film")
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert "log in with `hf auth login`, or set HF_TOKEN" in line
    assert not result.stdout, "found out before the evaluation"


def test_a_server_that_cannot_be_reached_is_named(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(HubError, match=f"cannot reach {address}"):
            fetch_agent("hf:user/x")
        with pytest.raises(HubError, match=f"cannot reach {address}"):
            pull_agent("user/x", Path("new"))
        with pytest.raises(HubError, match=f"cannot reach {address}"):
            check_login("user/x")
    assert not Path("new").exists()


def test_an_existing_directory_is_not_overwritten(published: HubServer) -> None:
    Path("here").mkdir()
    Path("here/file").touch()
    result = hub("pull", "user/pendulum", "--output", "here")
    assert result.exit_code == 2
    assert result.stderr == "here: exists already; give another one with --output\n"


def test_without_the_extra_the_message_names_it(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    result = hub("pull", "user/x")
    assert result.exit_code == 2
    assert "pip install 'sb3-ext[hub]'" in result.stderr


def test_an_opponent_is_fetched_too(monkeypatch: pytest.MonkeyPatch) -> None:
    matches = []
    monkeypatch.setattr("sb3_ext.hub.fetched_agent.fetch_agent", lambda target: Path("cache") / target[3:])
    monkeypatch.setattr("sb3_ext.cli.match.print_match", lambda *players, **options: matches.append(players))
    assert enjoy("hf:user/mine", "--against", "hf:user/other").exit_code == 0
    assert enjoy("hf:user/mine", "--against", "random").exit_code == 0
    assert matches == [("cache/user/mine", "cache/user/other"), ("cache/user/mine", "random")]
