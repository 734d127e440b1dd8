"""Mistakes in configurations of ``parallel.mode: native``; found without Procgen's library."""

from __future__ import annotations

import sys
from typing import Any

import gymnasium
import pytest

from sb3_ext.config import load_config, mock_environment
from sb3_ext.errors import ConfigError, MissingExtraError
from sb3_ext.vec.backends.native import NativeBackend, has_native_vec_env, list_native_environments
from sb3_ext.vec.environment_factory import EnvironmentFactory

COINRUN: dict[str, Any] = {
    "env": {"id": "procgen-coinrun-v0"},
    "parallel": {"mode": "native", "num_envs": 2},
    "agent": {"id": "ppo"},
}
GAMES = (
    "bigfish, bossfight, caveflyer, chaser, climber, coinrun, dodgeball, fruitbot, "
    "heist, jumper, leaper, maze, miner, ninja, plunder, starpilot"
)


def problems_of(config: dict[str, Any], *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(config, overrides)
    return [problem.partition(": ")[2] for problem in caught.value.problems]


def test_procgen_has_native_environments_without_being_installed() -> None:
    assert load_config(COINRUN).parallel.mode == "native"
    assert list_native_environments() == [f"procgen-{game}-v0" for game in GAMES.split(", ")]


def test_the_error_lists_the_environments_with_a_native_vec_env() -> None:
    (problem,) = problems_of(COINRUN, "env.id=CartPole-v1")

    assert problem.startswith(
        "parallel.mode: 'CartPole-v1' has no native VecEnv; use sequential, subproc or workers. "
        "Those that have one: procgen-bigfish-v0, "
    )


def test_an_unknown_environment_is_one_mistake_not_two() -> None:
    (problem,) = problems_of(COINRUN, "env.id=CartPol-v1")

    assert problem == "env.id: unknown environment 'CartPol-v1'; did you mean 'CartPole-v1'?"


def test_the_error_of_an_unknown_game_lists_all_games() -> None:
    (problem,) = problems_of(COINRUN, "env.id=procgen-coinrum-v0")

    assert problem == (
        "env.id: unknown Procgen environment 'procgen-coinrum-v0'; did you mean 'procgen-coinrun-v0'? "
        f"It is 'procgen-GAME-v0' with GAME of: {GAMES}"
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("env.max_steps=5", "env.max_steps: parallel.mode native cannot truncate episodes; use sequential, "),
        (
            "env.wrappers=[gymnasium.wrappers.ClipReward]",
            "env.wrappers: parallel.mode native cannot put wrappers around environments; use sequential, ",
        ),
        ("env.params.num_level=3", "env.params.num_level: unknown parameter; did you mean 'num_levels'?"),
        ("env.params.game=heist", "env.params.game: cannot be set here; it is part of 'procgen-coinrun-v0'"),
        ("env.params.num_levels=many", "env.params.num_levels: expected an integer, found 'many'"),
    ],
)
def test_keys_that_native_environments_do_not_support_are_refused(override: str, message: str) -> None:
    (problem,) = problems_of(COINRUN, override)

    assert problem.startswith(message)


@pytest.mark.parametrize("make", [EnvironmentFactory.__call__, lambda factory: NativeBackend(2).make_batch(factory, 2)])
@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"distribution_mode": "rare"},
            "coinrun has the distribution_mode easy, hard, exploration, but got 'rare'",
        ),
        ({"num_levels": -1}, "num_levels must lie between 0 and 2147483647, but got -1"),
    ],
)
def test_the_error_of_an_invalid_option_names_its_key(make: Any, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(EnvironmentFactory("procgen-coinrun-v0", params))

    assert str(caught.value) == f"env.params.{next(iter(params))}: 'procgen-coinrun-v0' cannot be made: {message}"


def test_the_error_without_procgen_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("procgen", "procgen_gym"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError) as caught:
        EnvironmentFactory("procgen-coinrun-v0")()

    condition = "; it needs NumPy 1, and so best an environment of its own" if sys.version_info < (3, 13) else ""
    assert str(caught.value) == (
        "environment 'procgen-coinrun-v0' needs an optional dependency: pip install 'sb3-ext[procgen]'" + condition
    )


def test_the_mock_of_a_native_environment_is_sequential() -> None:
    assert mock_environment(load_config(COINRUN)).parallel.mode == "sequential"


class NativeEnv(gymnasium.Env[Any, Any]):
    native_vec_env = f"{__name__}:Anything"


def test_an_environment_of_the_user_can_be_native() -> None:
    gymnasium.register("NativeForATest-v0", NativeEnv)
    try:
        assert has_native_vec_env("NativeForATest-v0")
    finally:
        del gymnasium.registry["NativeForATest-v0"]
