"""Agents in the folders of RL Zoo: opened without it and without pickles, and evaluated as RL Zoo does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

from sb3_ext.agents.agent import find_agent
from sb3_ext.agents.agent_episodes import evaluate_agent
from sb3_ext.cli import cli
from sb3_ext.errors import CheckpointError

ARGUMENTS = """\
!!python/object/apply:collections.OrderedDict
- - - algo
    - ppo
  - - env
    - !!python/object/new:huggingface_sb3.naming_schemes.EnvironmentName
      args:
      - Pendulum-v1
      state:
        gym_id: Pendulum-v1
  - - env_kwargs
    - g: 9.0
  - - gym_packages
    - []
"""
HYPERPARAMETERS = """\
!!python/object/apply:collections.OrderedDict
- - - learning_rate
    - lin_0.001
  - - n_timesteps
    - 64.0
  - - normalize
    - true
  - - policy
    - MlpPolicy
  - - policy_kwargs
    - activation_fn: !!python/name:torch.nn.modules.activation.ReLU ''
      net_arch: !!python/tuple
      - 8
"""


class Schedule:
    """Of a module that is not there when the agent is opened, like RL Zoo's own."""

    def __call__(self, progress: float) -> float:
        return 1e-3 * progress


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as ``rl_zoo3.train`` leaves it."""
    folder = tmp_path_factory.mktemp("logs") / "ppo" / "Pendulum-v1_1"
    settings = folder / "Pendulum-v1"
    settings.mkdir(parents=True)
    env = VecNormalize(make_vec_env("Pendulum-v1", 2, seed=1, env_kwargs={"g": 9.0}))
    arguments = {"activation_fn": nn.ReLU, "net_arch": [8]}
    model = PPO("MlpPolicy", env, Schedule(), n_steps=32, batch_size=32, policy_kwargs=arguments, seed=1, device="cpu")
    model.learn(64)
    model.save(folder / "best_model.zip")
    model.learn(64)
    model.save(folder / "rl_model_128_steps.zip")
    model.save(folder / "Pendulum-v1.zip")
    env.save(str(settings / "vecnormalize.pkl"))
    env.close()
    (settings / "args.yml").write_text(ARGUMENTS)
    (settings / "config.yml").write_text(HYPERPARAMETERS)
    return folder


def play_as_rl_zoo(folder: Path, model_name: str, episodes: int, seed: int) -> list[float]:
    """The loop of ``rl_zoo3.enjoy``."""
    inner = make_vec_env("Pendulum-v1", 1, seed=seed, env_kwargs={"g": 9.0})
    env = VecNormalize.load(str(folder / "Pendulum-v1" / "vecnormalize.pkl"), inner)
    env.training = env.norm_reward = False
    model = PPO.load(folder / model_name, device="cpu")
    observations, returns, total = env.reset(), [], 0.0
    while len(returns) < episodes:
        actions, _ = model.predict(observations, deterministic=True)
        observations, rewards, dones, _ = env.step(actions)
        total += float(rewards[0])
        if dones[0]:
            returns.append(total)
            total = 0.0
    env.close()
    return returns


def enjoy(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["enjoy", *map(str, arguments)])


@pytest.mark.parametrize(
    ("checkpoint", "name"),
    [
        (None, "best_model.zip"),
        ("best", "best_model.zip"),
        ("latest", "Pendulum-v1.zip"),
        ("128", "rl_model_128_steps.zip"),
    ],
)
def test_the_same_seed_plays_the_episodes_of_rl_zoo(logs: Path, checkpoint: str | None, name: str) -> None:
    source = find_agent(logs, checkpoint=checkpoint)
    assert source.model.path == logs / name
    if checkpoint in (None, "latest"):
        evaluation = evaluate_agent(source, 2, seed=4, trust=True)
        np.testing.assert_allclose(evaluation.returns, play_as_rl_zoo(logs, name, 2, seed=4), rtol=1e-5)


def test_statistics_are_a_pickle_and_need_trust(logs: Path) -> None:
    refused = enjoy(logs, "--episodes", 1)
    assert refused.exit_code == 2
    [line] = refused.stderr.splitlines()
    assert line.startswith(f"{logs}/Pendulum-v1/vecnormalize.pkl: is a pickle, which can run any code")
    assert "--trust" in line
    played = enjoy(logs / "best_model.zip", "--episodes", 1, "--max-steps", 20, "--trust")
    assert played.exit_code == 0, played.output
    assert "ppo on Pendulum-v1" in played.stderr


def test_an_agent_without_normalised_observations_needs_no_trust(logs: Path, tmp_path: Path) -> None:
    """In the layout of the Hugging Face Hub: all files beside each other."""
    (tmp_path / "args.yml").write_text(ARGUMENTS.replace("g: 9.0", "null"))
    hyperparameters = HYPERPARAMETERS.replace("    - true", '    - "dict(norm_obs=False)"')
    (tmp_path / "config.yml").write_text(hyperparameters)
    (tmp_path / "env_kwargs.yml").write_text("g: 9.0\n")
    (tmp_path / "ppo-Pendulum-v1.zip").write_bytes((logs / "best_model.zip").read_bytes())
    source = find_agent(tmp_path)
    assert source.config.env is not None
    assert source.config.env.params == {"g": 9.0}
    assert evaluate_agent(source, 1).episodes == 1


def test_settings_that_name_other_code_need_trust(logs: Path, tmp_path: Path) -> None:
    (tmp_path / "args.yml").write_text(ARGUMENTS)
    (tmp_path / "config.yml").write_text(HYPERPARAMETERS + "  - - env_wrapper\n    - subprocess.Popen\n")
    (tmp_path / "vec_normalize.pkl").write_bytes(b"")
    (tmp_path / "best_model.zip").write_bytes((logs / "best_model.zip").read_bytes())
    with pytest.raises(
        CheckpointError, match=r"config\.yml: names code, which would run: subprocess\.Popen; add --trust"
    ):
        find_agent(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoint", "77"], "has no model '77'; found Pendulum-v1.zip, best_model.zip, rl_model_128_steps.zip"),
        (["--algo", "sac"], "its algorithm is ppo, not sac; leave out --algo"),
    ],
)
def test_a_wrong_option_is_one_clear_line(logs: Path, arguments: list[str], message: str) -> None:
    result = enjoy(logs, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr.splitlines()[-1]


def test_a_damaged_pickle_is_one_clear_line(logs: Path, tmp_path: Path) -> None:
    (tmp_path / "args.yml").write_text(ARGUMENTS)
    (tmp_path / "config.yml").write_text(HYPERPARAMETERS)
    (tmp_path / "vec_normalize.pkl").write_bytes(b"damaged")
    (tmp_path / "best_model.zip").write_bytes((logs / "best_model.zip").read_bytes())
    result = enjoy(tmp_path, "--trust")
    assert result.exit_code == 2
    assert f"{tmp_path}/vec_normalize.pkl: cannot be loaded: UnpicklingError" in result.stderr.splitlines()[-1]
