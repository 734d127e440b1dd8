"""
Every command in the READMEs works, in the order in which a reader meets it.

Each page runs in a directory of its own with what its reader has there: ``my.yaml``, runs, a Hub. Trainings are
shortened by :data:`SHORTER`; :data:`NOT_RUN` lists what needs the internet, or never ends. The page in
``sb3_ext/launching`` has a test of its own, with a stand-in for Slurm.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from stable_baselines3 import PPO

import sb3_ext
from hub_server import TOKEN, HubServer
from pages import ROOT, find_commands, find_pages
from sb3_ext.runs.run import Run

RL_ZOO = ROOT / "tests" / "data" / "rl_zoo"
PAGES = [page for page in find_pages() if page != "sb3_ext/launching/README.md" and find_commands(page)]
CONFIG = """
seed: 1
env: {id: CartPole-v1, max_steps: 20}
parallel: {num_envs: 2}
agent: {id: ppo, engine: stock, threads: 1, params: {n_steps: 16, batch_size: 16, n_epochs: 1}}
train: {total_steps: 128, callbacks: [{type: checkpoint, params: {interval: 32, self_test: false}}]}
eval: {episodes: 1, every_steps: 32}
tracking: {tensorboard: null}
tune:
  trials: 2
  space: {agent.params.learning_rate: {type: float, low: 1.0e-4, high: 1.0e-2, log: true}}
"""
CONNECT4 = {
    "seed": 1,
    "game": {"id": "connect4"},
    "parallel": {"num_envs": 4},
    "agent": {
        "id": "maskable_ppo",
        "engine": "stock",
        "threads": 1,
        "params": {"n_steps": 8, "batch_size": 16, "n_epochs": 1},
    },
    "train": {
        "total_steps": 256,
        "opponent_sampler": {"type": "random"},
        "callbacks": [{"type": "checkpoint", "params": {"interval": 64, "self_test": False}}],
    },
    "eval": {"every_steps": 128, "episodes": 2},
    "tracking": {"tensorboard": None},
}
_ORDERED = "!!python/object/apply:collections.OrderedDict\n"
RL_ZOO_SETTINGS = {
    "args.yml": f"{_ORDERED}- - - algo\n    - ppo\n  - - env\n    - CartPole-v1\n",
    "config.yml": f"{_ORDERED}- - - policy\n    - MlpPolicy\n",
}

NOT_RUN = {
    ".ci/run": "runs these tests",
    "python zoo_scripts/readme_pictures.py curves film watch league": "takes an hour",
    'eval "$(sb3-ext completion zsh)"': "needs zsh",
    "sb3-ext doctor --full": "takes five minutes; tests/doctor run its checks",
    "tensorboard --logdir runs": "serves until Ctrl+C",
    "mlflow ui --backend-store-uri sqlite:///runs/mlflow.db": "serves until Ctrl+C; tests/tracking start a server",
    "sb3-ext tune my.yaml --storage postgresql://me@host/studies": "needs a server",
    "torchrun --nnodes 4 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m sb3_ext train my.yaml "
    "--run-dir runs/mine": "needs four machines",
}
"""Command -> why it does not run here. Neither do commands of pip, nor those of Procgen, which has tox -e procgen."""

SHORTER = {
    "python3.11 -m venv .venv && . .venv/bin/activate && pip install -c constraints.txt . && ": "",
    "--signal KILL 20": "--signal KILL 60",  # this machine may be busy
    "train cartpole_ppo ": "train cartpole_ppo --set eval.episodes=1 --total-steps 16000 ",
    "train cartpole_dqn": "train cartpole_dqn --set eval.episodes=1 --total-steps 2000",
    "tune cartpole_ppo_tune": "tune cartpole_ppo_tune --trials 2",
    "/best.yaml": "/best.yaml --total-steps 512",
    "--duration 10m": "--duration 5s --set eval.episodes=2",
    "league runs/connect4": "league runs/connect4 --games 4 --positions 1",
    "--exploit 10": "--exploit 0.05",
    "--total-steps 20000 ": "--total-steps 200 ",
    "--total-steps 1e6": "--total-steps 64",
    "--total-steps 200000": "--total-steps 256",
    "advise my.yaml": "advise my.yaml --seconds 0.1",
    "--trials 20": "--trials 2",
    "--against heuristic": "--against heuristic --episodes 4",
    "--wandb": "--wandb --set tracking.wandb.mode=offline",
    "runs prune": "runs prune --yes",
    "runs remove": "runs remove --yes",
    "python zoo_scripts/from": f"python {ROOT}/zoo_scripts/from",
}


def shorten(command: str) -> str:
    for text, shorter in SHORTER.items():
        command = f"{command} ".replace(text, shorter).strip()
    return command


def test_replaced_commands_are_in_a_page() -> None:
    commands = [f"{command} " for page in PAGES for command in find_commands(page)]

    assert [text for text in NOT_RUN if f"{text} " not in commands] == []
    assert [text for text in SHORTER if not any(text in command for command in commands)] == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which some commands have been run."""
    directory = tmp_path_factory.mktemp("trained")
    (directory / "my.yaml").write_text(CONFIG)
    for number, name in enumerate(["mine", "a", "b"]):
        sb3_ext.train(directory / "my.yaml", run_dir=directory / "runs" / name, overrides=[f"seed={number}"])
    for number, name in enumerate(["connect4", "other"]):
        sb3_ext.train(CONNECT4, run_dir=directory / "runs" / name, overrides=[f"seed={number}"])
    return directory


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a shell with this interpreter's commands and a Hub, in which ``rl_zoo3`` is installed."""
    packages = tmp_path / "packages"
    shutil.copytree(RL_ZOO, packages / "rl_zoo3" / "hyperparams")
    (packages / "rl_zoo3" / "__init__.py").touch()
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    torchrun = bin_directory / "torchrun"  # torch may be installed in another environment than this interpreter
    torchrun.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m torch.distributed.run "$@"\n')
    torchrun.chmod(0o755)
    save_model(tmp_path / "model.zip")
    with HubServer() as server:
        settings = {name: text.encode() for name, text in RL_ZOO_SETTINGS.items()}
        model = (tmp_path / "model.zip").read_bytes()
        server.repositories["sb3/ppo-CartPole-v1"] = {**settings, "ppo-CartPole-v1.zip": model}
        yield {
            **os.environ,
            "HF_ENDPOINT": server.endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": TOKEN,
            "HOME": str(tmp_path),
            "OMP_NUM_THREADS": "1",
            "PATH": f"{bin_directory}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(packages),
            "SB3_EXT_CACHE": str(tmp_path / "cache"),
        }


def save_model(path: Path) -> None:
    PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8).save(path)


def prepare(page: str, directory: Path, environment: dict[str, str], request: pytest.FixtureRequest) -> None:
    """Make what the reader of a page has in the current directory."""
    directory.mkdir()
    (directory / "my.yaml").write_text(CONFIG)
    folder = Path(page).parent.name
    if folder in {"evaluation", "exporting", "hub", "reports", "selfplay", "tracking"}:
        shutil.copytree(request.getfixturevalue("trained"), directory, dirs_exist_ok=True, symlinks=True)
    if folder in {"evaluation", "exporting"}:
        save_model(directory / "model.zip")
    if folder == "tracking":
        shutil.rmtree(directory / "runs" / "mine")
        shutil.rmtree(directory / "runs" / "connect4")
        tracking = {"tensorboard": None, "mlflow": {}}
        sb3_ext.train({**CONNECT4, "tracking": tracking}, run_dir=directory / "runs" / "connect4")
    if folder == "rl_zoo":
        shutil.copytree(RL_ZOO, directory / "rl-baselines3-zoo" / "hyperparams")
        agent = directory / "logs" / "ppo" / "CartPole-v1_1"
        (agent / "CartPole-v1").mkdir(parents=True)
        for name, text in RL_ZOO_SETTINGS.items():
            (agent / "CartPole-v1" / name).write_text(text)
        save_model(agent / "CartPole-v1.zip")
    if folder == "reports":
        for sweep, gamma in (("seeds", "0.99"), ("others", "0.9")):
            options = ["--seeds", "0..2", "--gamma", gamma, "--run-dir", f"runs/{sweep}", "--quiet"]
            subprocess.run(["sb3-ext", "train", "my.yaml", *options], cwd=directory, env=environment, check=True)
    if folder == "runs":
        command = ["sb3-ext", "train", "my.yaml", "--run-dir", "runs/mine", "--total-steps", "1e9", "--quiet"]
        training = subprocess.Popen(command, cwd=directory, env=environment)
        request.addfinalizer(lambda: end(training))
        wait_until_it_runs(directory / "runs" / "mine")


def end(training: subprocess.Popen[bytes]) -> None:
    training.terminate()
    training.wait()


def wait_until_it_runs(directory: Path) -> None:
    deadline = time.monotonic() + 120
    while not (directory / "status.json").exists() or Run(directory).record.step < 128:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", PAGES)
def test_every_command_works(page: str, tmp_path: Path, reader: dict[str, str], request: pytest.FixtureRequest) -> None:
    directory = tmp_path / "reader"
    prepare(page, directory, reader, request)
    for command in find_commands(page):
        if command in NOT_RUN or command.startswith("pip install") or "procgen" in command:
            continue
        expected = {0, 137, -9} if command.startswith("timeout --signal KILL") else {0}
        result = subprocess.run(
            ["bash", "-c", shorten(command)],
            cwd=directory,
            env=reader,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert result.returncode in expected, f"{command}\n{result.stdout}{result.stderr}"
