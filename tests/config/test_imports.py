"""Third-party code that fails on import or in its constructor: one line, with the key that names it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from click.testing import CliRunner

from sb3_ext.cli import cli
from sb3_ext.config import load_config
from sb3_ext.errors import ConfigError
from sb3_ext.vec.environment_factory import EnvironmentFactory

MINIMAL: dict[str, Any] = {"env": {"id": "CartPole-v1"}, "agent": {"id": "ppo"}}
GAME: dict[str, Any] = {
    "seed": 1,
    "agent": {"id": "maskable_ppo"},
    "train": {"opponent_sampler": {"type": "random"}},
}
FAILURES = {
    "fails_with_an_error": ("raise RuntimeError('no\\n  licence')", "RuntimeError: no licence ("),
    "fails_with_an_exit": ("import sys; sys.exit(3)", "SystemExit: 3 ("),
    "fails_with_a_typo": ("def f(:", "SyntaxError: invalid syntax (fails_with_a_typo.py, line 1)"),
    "fails_without_a_package": ("import no_such_package", "No module named 'no_such_package'"),
}


@pytest.fixture(autouse=True)
def in_folder_of_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (code, _) in FAILURES.items():
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize("module", FAILURES)
@pytest.mark.parametrize(
    ("key", "config"),
    [
        ("env.id", {"env": {"id": "{}:My-v0"}}),
        ("env.wrappers.0", {"env": {"id": "CartPole-v1", "wrappers": ["{}.Wrapper"]}}),
        ("agent.policy", {"agent": {"id": "ppo", "policy": "{}:Policy"}}),
        (
            "agent.params.policy_kwargs.activation_fn",
            {"agent": {"id": "ppo", "params": {"policy_kwargs": {"activation_fn": "{}:Activation"}}}},
        ),
        ("train.callbacks.0.type", {"train": {"callbacks": [{"type": "{}:Callback"}]}}),
        ("game.id", {**GAME, "env": None, "game": {"id": "{}:Game"}}),
        ("game.id", {**GAME, "env": None, "game": {"id": "package.{}"}}),
        (
            "train.opponent_sampler.type",
            {**GAME, "env": None, "game": {"id": "connect4"}, "train": {"opponent_sampler": {"type": "{}:act"}}},
        ),
    ],
    ids=["env", "wrapper", "policy", "activation", "callback", "game", "pettingzoo", "opponent"],
)
def test_a_module_whose_import_fails_is_one_line(module: str, key: str, config: dict[str, Any], tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / f"{module}.py").write_text(FAILURES[module][0])
    for name in ("package", f"package.{module}"):
        sys.modules.pop(name, None)
    with pytest.raises(ConfigError) as caught:
        load_config({**MINIMAL, **insert(config, module)})
    [line] = caught.value.problems
    assert f" {key}: " in line
    assert "cannot import module '" in line
    assert FAILURES[module][1] in line


def insert(value: Any, module: str) -> Any:
    if isinstance(value, dict):
        return {name: insert(item, module) for name, item in value.items()}
    if isinstance(value, list):
        return [insert(item, module) for item in value]
    return value.replace("{}", module) if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("RuntimeError('no\\nlicence')", "RuntimeError: no licence ("),
        ("OSError(2, 'no')", "FileNotFoundError: [Errno 2] no ("),
        ("KeyError('size')", "'size'"),
        ("ImportError('no pyfoo')", "no pyfoo"),
        ("Exception()", "Exception ("),
    ],
)
def test_an_environment_whose_constructor_fails_is_one_line(error: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "broken_env.py").write_text(
        "import gymnasium\n"
        "class Broken(gymnasium.Env):\n"
        "    def __init__(self):\n"
        f"        raise {error}\n"
        "gymnasium.register('UnmakableForATest-v0', Broken)\n"
    )
    sys.modules.pop("broken_env", None)
    try:
        with pytest.raises(ConfigError) as caught:
            EnvironmentFactory("broken_env:UnmakableForATest-v0")()
    finally:
        del gymnasium.registry["UnmakableForATest-v0"]
    assert str(caught.value).startswith(f"env.id: 'broken_env:UnmakableForATest-v0' cannot be made: {message}")
    assert "\n" not in str(caught.value)


def test_a_game_whose_constructor_fails_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken_game.py").write_text("class Broken:\n    def __init__(self, num_boards):\n        1 / 0\n")
    (tmp_path / "broken_aec.py").write_text("def env():\n    raise OSError('no file\\nhere')\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "broken_aec.py").rename(tmp_path / "inner" / "broken_aec.py")
    for game_id, message in (
        ("broken_game:Broken", "ZeroDivisionError: division by zero ("),
        ("inner.broken_aec", "OSError: no file here ("),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config({**GAME, "game": {"id": game_id}})
        [line] = caught.value.problems
        assert f"game.id: '{game_id}' cannot be made: {message}" in line


def test_a_game_without_its_package_is_one_line_of_config_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shimmy", None)
    config = tmp_path / "hanabi.yaml"
    config.write_text(
        "seed: 1\ngame: {id: pettingzoo.classic.hanabi_v5}\nagent: {id: maskable_ppo}\n"
        "train: {opponent_sampler: {type: random}}\n"
    )
    result = CliRunner().invoke(cli, ["config", "check", str(config)])
    assert result.exit_code == 2
    assert "game.id: 'pettingzoo.classic.hanabi_v5' needs a package that is not installed: " in result.output
    assert "pip install" in result.output
    assert len(result.output.splitlines()) == 1


def test_an_unregistered_environment_names_its_package() -> None:
    with pytest.raises(ConfigError, match=r"'ALE/Pong-v5' comes with the package ale-py: .*'ale_py:ALE/Pong-v5'"):
        load_config({**MINIMAL, "env": {"id": "ALE/Pong-v5"}})
