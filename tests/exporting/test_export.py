"""``sb3-ext export``: files that are checked and complete, or one line that says why there is none."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from stable_baselines3 import PPO
from torch import nn

import sb3_ext
from sb3_ext import ExportError
from sb3_ext.agents.agent import AgentSource
from sb3_ext.checkpoints.model_source import ModelSource
from sb3_ext.cli import cli
from sb3_ext.config import load_config
from sb3_ext.exporting import onnx_model
from sb3_ext.exporting.onnx_model import export_onnx
from sb3_ext.exporting.page_registry import PageEnvironment, find_page_environment
from sb3_ext.exporting.web_page import export_web, make_page

CONFIG: dict[str, Any] = {
    "seed": 1,
    "env": {"id": "Pendulum-v1", "max_steps": 20, "normalize": True, "frame_stack": 2},
    "agent": {
        "id": "ppo",
        "threads": 1,
        "params": {"n_steps": 32, "batch_size": 16, "policy_kwargs": {"net_arch": [8]}},
    },
    "train": {"total_steps": 64},
    "eval": {"episodes": 2},
}


class Own(nn.ReLU):
    """A layer of a user."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with normalisation and stacked frames."""
    directory = tmp_path_factory.mktemp("export") / "mine"
    sb3_ext.train(CONFIG, run_dir=directory)
    return directory


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def export(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["export", *map(str, arguments)])


def test_the_model_has_the_whole_path_from_observation_to_action(run: Path) -> None:
    result = export(run, "--onnx", "model.onnx")

    assert result.exit_code == 0, result.output
    assert "same actions as `predict` for 1,008 observations" in result.stdout
    assert [line.partition(":")[0] for line in result.stdout.splitlines()[:5]] == [
        *("in  observation", "in  frames", "in  episode_start", "out actions", "out next_frames"),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import onnx
    import onnxruntime

    properties = {entry.key: entry.value for entry in onnx.load("model.onnx").metadata_props}
    assert properties["run"] == "mine"
    assert properties["environment"] == "Pendulum-v1"
    assert properties["algorithm"] == "ppo"
    assert properties["step"] == str(sb3_ext.load_run(run).latest.step)
    assert properties["sb3_ext"] == sb3_ext.__version__
    assert json.loads(properties["observation_space"])["shape"] == [3]
    assert json.loads(properties["action_space"])["high"] == 2.0
    session = onnxruntime.InferenceSession("model.onnx")
    inputs = {
        "observation": np.array([[1, 0, 0]], np.float32),
        "frames": np.zeros((1, 6), np.float32),
        "episode_start": np.array([True]),
    }
    actions, frames = session.run(None, inputs)
    assert actions.shape == (1, 1)
    assert frames.tolist() == [[0, 0, 0, 1, 0, 0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN"], "give --onnx FILE, --web FILE or both"),
        (["RUN", "--onnx", "a.onnx", "--web", "a.onnx"], "--onnx and --web both write a.onnx: give two names"),
        (["nothing", "--onnx", "a.onnx"], "nothing: no run with this path"),
        (["RUN", "--onnx", "here.onnx"], "here.onnx: exists already; add --force to replace it"),
        (["RUN", "--onnx", "folder"], "folder: is a directory; give the name of a file"),
        (["RUN", "--onnx", "no/such/a.onnx"], "a.onnx: cannot be written: there is no directory no/such"),
        (["RUN", "--onnx", "a.onnx", "--checkpoint", "7"], "no checkpoint of step 7"),
        (["RUN", "--onnx", "a.onnx", "--algo", "sac"], "its algorithm is ppo, not sac; leave out --algo"),
        (["RUN", "--onnx", "a.onnx", "--env", "Nope-v0"], "unknown environment 'Nope-v0'"),
        (["theirs.zip", "--onnx", "a.onnx"], "give its environment with --env and its algorithm with --algo"),
        (
            ["own.zip", "--onnx", "a.onnx", "--env", "CartPole-v1", "--algo", "ppo"],
            "activation_fn is 'Own'",
        ),
        (
            ["own.zip", "--web", "a.html", "--env", "CartPole-v1", "--algo", "ppo"],
            "activation_fn is 'Own'",
        ),
        (["RUN", "--onnx", "a.onnx", "--web", "here.onnx"], "here.onnx: exists already; add --force"),
        (
            ["theirs.zip", "--web", "a.html", "--env", "FrozenLake-v1", "--algo", "ppo"],
            "FrozenLake-v1 has no web page; these have one: Acrobot-v1, CartPole-v0, CartPole-v1, MountainCar-v0",
        ),
    ],
)
def test_mistakes_exit_with_2_and_write_nothing(arguments: list[str], message: str, run: Path) -> None:
    Path("here.onnx").write_text("old")
    Path("folder").mkdir()
    Path("theirs.zip").write_bytes(b"")
    if arguments[0] == "own.zip":
        PPO("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": [8], "activation_fn": Own}).save("own.zip")
    before = sorted(path.name for path in Path().iterdir())
    result = export(*(run if argument == "RUN" else argument for argument in arguments))

    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert sorted(path.name for path in Path().iterdir()) == before
    assert Path("here.onnx").read_text() == "old"


def test_a_missing_extra_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_model, "find_spec", lambda _name: None)
    result = export(run, "--onnx", "a.onnx")

    assert result.exit_code == 2
    assert result.stderr == "export to ONNX needs an optional dependency: pip install 'sb3-ext[onnx]'\n"


def test_a_model_that_acts_differently_is_not_written(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = onnx_model.make_graph

    def make_wrong(agent: Any) -> Any:
        graph = real(agent)
        graph.high.fill_(-1.0)
        return graph

    monkeypatch.setattr(onnx_model, "make_graph", make_wrong)
    with pytest.raises(ExportError, match=r"its actions differ for \d+ of 32 observations; nothing was written"):
        export_onnx(run, "a.onnx", observations=32)
    assert not list(Path().iterdir())


def test_a_page_is_complete_and_names_no_other_place(run: Path) -> None:
    Path("agent.html").write_text("old")
    result = export(run, "--web", "agent.html", "--force")

    assert result.exit_code == 0, result.output
    assert re.fullmatch(r"agent.html: \d+ kB; same actions as `predict` for 1,008 observations.*\n", result.stdout)
    page = Path("agent.html").read_text()
    assert len(page) < 100_000
    assert "{{" not in page
    assert "default-src 'none'" in page
    assert re.findall(r"""(?:src|href)=["'](?!data:)|@import|url\(""", page) == []
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert f"trained for {sb3_ext.load_run(run).latest.step:,} steps" in page
    [line] = re.findall(r"^const AGENT = (.*);$", page, re.MULTILINE)
    agent = json.loads(line)
    assert (agent["stack"], agent["max_steps"], agent["normalization"]["clip"]) == (2, 20, 10.0)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"id": "Pendulum-v1", "params": {"g": 9.0, "render_mode": "human"}}, "parameter g; it knows length"),
        (
            {"id": "CartPole-v1", "wrappers": ["gymnasium.wrappers.FlattenObservation"]},
            "has wrappers, which are Python",
        ),
    ],
)
def test_environments_that_differ_from_the_page_are_refused(
    env: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config({"env": env, "agent": {"id": "ppo"}})
    source = AgentSource(config, ModelSource(Path("unused")))
    monkeypatch.setattr("sb3_ext.exporting.web_page.find_agent", lambda *_arguments, **_named: source)
    found = PageEnvironment(Path("unused"), parameters=("length",))
    monkeypatch.setattr("sb3_ext.exporting.web_page.find_page_environment", lambda _name: found)

    with pytest.raises(ExportError, match=message):
        export_web("unused", "a.html")


def test_an_installed_package_adds_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("swing.js").write_text('class Environment {\n  static title = "Swing";\n}\n')
    code = "from pathlib import Path\nfrom sb3_ext.exporting.page_registry import PageEnvironment\n"
    Path("own_page.py").write_text(f"{code}SWING = PageEnvironment(Path('swing.js'), is_game=True)\n")
    folder = tmp_path / "own_page-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: own-page\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[sb3_ext.pages]\nSwing-v0 = own_page:SWING\n")
    monkeypatch.syspath_prepend(tmp_path)

    found = find_page_environment("Swing-v0")
    assert "<title>Swing</title>" in make_page(found, {}, "about")
    with pytest.raises(LookupError, match=r"Nope-v0 has no web page; these have one: .*, Swing-v0, .*connect4"):
        find_page_environment("Nope-v0")
