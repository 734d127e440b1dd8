"""Every pair of options of every command: both act, or the command says in one line why they cannot."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import torch
from click.testing import CliRunner

from sb3_ext.atomic import write_json
from sb3_ext.building.model import fill_defaults
from sb3_ext.cli import cli
from sb3_ext.cli.options import name_parameter
from sb3_ext.config import dump_config
from sb3_ext.runs.status import RunStatus
from sb3_ext.training.start import RunStart

TABLE = Path(__file__).with_name("option_pairs.txt")

RUN, CHECKPOINT = "runs/mine", "runs/mine/checkpoints/best"

COMMON = {
    "RUN": ["live"],
    "--json": ["--json", "out.json"],
    "--root": ["--root", "elsewhere"],
    "--seed": ["--seed", "3"],
}
"""What is given where SAMPLES has nothing for the command; an option that takes no value is its own name."""

SAMPLES: dict[str, dict[str, list[str]]] = {
    "train": {
        "CONFIG": ["my.yaml"],
        "--config": ["--config", "my.yaml"],
        "--zoo": ["--zoo", "ppo/CartPole-v1"],
        "--algo": ["--algo", "dqn"],
        "--env": ["--env", "Acrobot-v1"],
        "--set": ["--set", "eval.episodes=2"],
        "--resume": ["--resume", RUN],
        "--rewind": ["--rewind", "--resume", CHECKPOINT],
        "--eval-only": ["--eval-only", "--checkpoint", RUN],
        "--checkpoint": ["--checkpoint", RUN, "--eval-only"],
        **{name: [name, "7"] for name in ("--total-steps", "--episodes", "--duration", "--max-steps", "--num-envs")},
        **{name: [name, "2"] for name in ("--num-workers", "--num-envs-per-worker", "--batch-size", "--threads")},
        **{name: [name, "0.5"] for name in ("--learning-rate", "--gamma", "--autosave-interval")},
        "--init-from": ["--init-from", CHECKPOINT],
        "--checkpoint-freq": ["--checkpoint-freq", "5ep"],
        "--device": ["--device", "cuda"],
        "--run-dir": ["--run-dir", "runs/other"],
        "--checkpoint-dir": ["--checkpoint-dir", "disk"],
        "--seeds": ["--seeds", "0..2"],
        "--jobs": ["--jobs", "2", "--seeds", "0..2"],
        "--launcher": ["--launcher", "slurm", "--seeds", "0..2"],
        "--launcher-option": ["--launcher-option", "cpus=2", "--launcher", "slurm", "--seeds", "0..2"],
    },
    "tune": {
        "--trials": ["--trials", "7"],
        "--jobs": ["--jobs", "2"],
        "--launcher": ["--launcher", "slurm"],
        "--launcher-option": ["--launcher-option", "cpus=2", "--launcher", "slurm"],
        "--timeout": ["--timeout", "5m"],
        "--storage": ["--storage", "journal"],
        "--study": ["--study", "mine"],
        "--study-dir": ["--study-dir", "runs/other"],
        "--set": ["--set", "eval.episodes=2"],
    },
    "enjoy": {
        "--checkpoint": ["--checkpoint", "latest"],
        "--env": ["--env", "Acrobot-v1"],
        "--algo": ["--algo", "dqn"],
        "--episodes": ["--episodes", "7"],
        "--max-steps": ["--max-steps", "7"],
        "--video": ["--video", "film.gif"],
        "--against": ["--against", "random"],
        "--seat": ["--seat", "second", "--human"],
        "--evaluation": ["--evaluation", "hard"],
    },
    "league": {
        "--games": ["--games", "8"],
        "--against": ["--against", "heuristic"],
        "--checkpoints": ["--checkpoints", "all"],
        "--positions": ["--positions", "8"],
        "--exploit": ["--exploit", "1"],
        "--output": ["--output", "other.png"],
    },
    "hub push": {
        "--checkpoint": ["--checkpoint", "latest"],
        "--episodes": ["--episodes", "7"],
        "--film": ["--no-film"],
        "--message": ["--message", "first"],
        "--output": ["--output", "other"],
    },
    "export": {
        "--onnx": ["--onnx", "model.onnx"],
        "--web": ["--web", "other.html"],
        "--checkpoint": ["--checkpoint", "latest"],
        "--env": ["--env", "Acrobot-v1"],
        "--algo": ["--algo", "dqn"],
    },
    "plot": {
        "--output": ["--output", "other.png"],
        "--x": ["--x", "time"],
        "--average": ["--average", "iqm"],
        "--csv": ["--csv", "out.csv"],
    },
    "compare": {"--output": ["--output", "other.png"]},
    "report": {"--output": ["--output", "other.html"], "--film": ["--film", "best.gif"]},
    "advise": {
        "CONFIG": ["my.yaml"],
        "--algo": ["--algo", "dqn"],
        "--env": ["--env", "Acrobot-v1"],
        **{name: [name, "2"] for name in ("--max-steps", "--num-envs", "--batch-size", "--threads")},
        "--seconds": ["--seconds", "7"],
        "--device": ["--device", "cuda"],
        "--set": ["--set", "eval.episodes=2"],
    },
    "doctor": {"--json": ["--json"]},
    "runs list": {"--stale-after": ["--stale-after", "5"], "--json": ["--json"]},
    "runs show": {"--stale-after": ["--stale-after", "5"], "--json": ["--json"]},
    "runs watch": {"--stale-after": ["--stale-after", "5"]},
    "runs logs": {"--lines": ["--lines", "7"]},
    "runs stop": {"--stale-after": ["--stale-after", "5"], "--timeout": ["--timeout", "7"]},
    "runs prune": {"--keep-last": ["--keep-last", "7"], "--keep-best": ["--keep-best", "7"]},
    "runs resume": {"--set": ["--set", "eval.episodes=2"]},
}

BASES = {
    **{name: ["my.yaml"] for name in ("train", "advise", "tune")},
    **{name: [RUN] for name in ("enjoy", "league", "plot")},
    **{name: ["live"] for name in ("runs show", "runs stop")},
    **{name: ["done"] for name in ("runs logs", "runs remove", "runs prune", "runs resume")},
    "compare": [RUN, RUN],
    "report": [RUN],
    "export": [RUN, "--web", "agent.html"],
    "hub push": [RUN, "user/name"],
}
"""Arguments that come with every pair of options."""

BASELESS = {"CONFIG", "--config", "--zoo", "--eval-only", "--checkpoint"}
"""What `train` and `advise` are given instead."""

REPLACED: dict[str, list[str]] = {
    "train": [
        *("training.start:start_run", "training.resuming:resume_run", "cli.train:carry_out", "cli.train:show_log"),
        *("cli.train:check_display", "cli.enjoy:check_display", "agents.agent:find_agent", "agents.agent:load_agent"),
        *("agents.agent:make_agent_env", "agents.agent_episodes:play", "evaluation.evaluate:summarize"),
        *("building.training_environments:choose_eval_seed", "building.training_environments:count_eval_envs"),
        *("cli.enjoy:_print_evaluation", "cli.train_seeds:train_seeds", "config:validate_file"),
    ],
    "enjoy": [
        *(
            "cli.enjoy:check_display",
            "agents.agent:find_agent",
            "agents.agent:load_agent",
            "agents.agent:make_agent_env",
        ),
        *(
            "agents.agent_episodes:play",
            "agents.agent_games:play_against",
            "evaluation.evaluate:summarize",
            "cli.enjoy:_film",
        ),
        *(
            "building.training_environments:choose_eval_seed",
            "building.training_environments:count_eval_envs",
            "cli.human:play_person",
        ),
        *("cli.enjoy:_print_evaluation", "cli.match:_print_result", "cli.match:write_json_file"),
    ],
    "tune": [
        *("tuning.plan:make_plan", "tuning.study:open_study", "cli.tune:show_log", "cli.tune:_carry_out"),
        *("cli.tune:is_distributed", "cli.tune:opening_launcher", "config:validate_file"),
    ],
    "league": [
        *(
            "runs.run_registry:find_run",
            "building.run_config:load_run_config",
            "evaluation.league_players:load_agents",
            "cli.league:print_league",
        ),
        *(
            "evaluation.league_players:make_anchors",
            "building.game_environments:compute_eval_shares",
            "building.game_environments:make_configured_game",
        ),
        *("selfplay.matches.round_robin:play_league", "cli.league:_plot", "cli.league:_write", "cli.league:_exploit"),
        *("cli.league:validate_output_directory", "cli.league:_validate_solver"),
        *(
            "evaluation.league_positions:measure_players",
            "cli.league:print_positions",
            "cli.league:_make_content",
        ),
    ],
    "hub push": [
        *("hub.published_run:write_publication", "hub.hub_client:upload_folder", "hub.hub_client:check_login"),
        *("cli.hub:show_log", "cli.hub:_print_publication"),
    ],
    "export": [
        *("exporting.onnx_model:export_onnx", "exporting.web_page:export_web"),
        *("cli.export:_print_onnx", "cli.export:_print_web", "cli.export:show_log"),
    ],
    "plot": [
        *("runs.run_registry:find_run_group", "cli.plot:_read_curves", "reports.curves:plot_curves"),
        *("reports.overlay:plot_runs", "reports.overlay:export_runs"),
    ],
    "compare": [
        *("runs.run_registry:find_run_group", "reports.comparison:ComparedRun.read", "reports.comparison:compare_runs"),
        *("reports.comparability:find_differences", "reports.comparison_figure:plot_comparison", "atomic:write_text"),
        *("atomic:write_json", "reports.comparison_table:format_markdown", "reports.comparison_table:make_content"),
        *("reports.metrics_file:replace_non_finite", "cli.compare:_print_tables"),
        *("reports.seed_groups:find_evidence", "cli.compare:_print_evidence"),
        "cli.compare:name_paths",
    ],
    "report": ["runs.run_registry:find_run_group", "reports.run_report.report_page:write_report"],
    "advise": [
        *(
            "config:read_source",
            "config:load_config",
            "advising.advice:measure_advice",
            "advising.advice:explain_advice",
        ),
        *("building.memory:validate_memory", "cli.advise:_print_table", "cli.advise:_print_section"),
    ],
    "doctor": ["doctor.examination:run_checks"],
    "runs logs": ["cli.runs:LogTail.follow"],
    "runs stop": ["cli.runs:stop_run"],
    "runs remove": ["cli.runs:remove_run", "cli.runs:confirm"],
    "runs prune": [
        "checkpoints.store.retention:Retention",
        "checkpoints.store.checkpoint_store:CheckpointStore",
        "output_file:validate_output_directory",
        "cli.prune:confirm",
    ],
    "runs resume": ["training.resuming:resume_run", "cli.resume:carry_out", "cli.resume:show_log"],
}
"""The work of each command: functions of the package whose calls are recorded in place of being made."""


class Stub:
    """Stands for whatever a replaced function gives."""

    ci95 = None

    def __getattr__(self, name: str) -> Stub:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *arguments: Any, **named: Any) -> Stub:
        return self

    def __enter__(self) -> Stub:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 1

    def __sub__(self, other: object) -> int:
        return 0

    def __index__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "stub"


RESULTS: dict[str, Any] = {
    **dict.fromkeys(("carry_out", "_carry_out", "_exploit", "count_eval_envs", "train_seeds"), 0),
    "_read_curves": [Stub()],
    "find_run_group": [Stub()],
    "name_paths": ["one", "two"],
}
"""What replaced functions give, where that is not a stub."""


class Effect(NamedTuple):
    """What a command line does."""

    exit_code: int
    stdout: str
    stderr: str
    calls: list[str]


Try = Callable[[Sequence[str]], Effect]


def list_commands(command: click.Command = cli, path: str = "") -> dict[str, click.Command]:
    if not isinstance(command, click.Group):
        return {path: command}
    below = (list_commands(found, f"{path} {name}".strip()) for name, found in command.commands.items())
    return {name: found for part in below for name, found in part.items()}


def list_names(command: click.Command) -> list[str]:
    """Options, and arguments that may be left out."""
    return [name_parameter(found) for found in command.params if isinstance(found, click.Option) or not found.required]


def read_table() -> dict[str, dict[tuple[str, str], str]]:
    """Command -> pair of names -> mark."""
    tables: dict[str, dict[tuple[str, str], str]] = {}
    for block in TABLE.read_text().split("\n\n")[1:]:
        title, *rows = block.strip("\n").splitlines()
        cells = [(row[2:26].strip(), row[26:].strip()) for row in rows]
        tables[title.split("  ")[0]] = {
            (cells[column][0], name): mark for name, marks in cells for column, mark in enumerate(marks)
        }
    return tables


def give(command: str, name: str) -> list[str]:
    """The words that give an option, with the others that it cannot do without."""
    return SAMPLES.get(command, {}).get(name) or COMMON.get(name) or [name]


def complete(command: str, names: Sequence[str], words: Sequence[str]) -> list[str]:
    base = [] if BASELESS.intersection(names) and command in ("train", "advise") else BASES.get(command, [])
    return [*command.split(), *base, *words]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two roots with runs of the same names."""
    place = tmp_path_factory.mktemp("pairs")
    for number, root in enumerate(("runs", "elsewhere")):
        for name, status in (("live", "running"), ("done", "completed")):
            record = RunStatus.begin()
            beat = (datetime.now(timezone.utc) - timedelta(seconds=60)).isoformat(timespec="seconds")
            record = dataclasses.replace(record, status=status, last_heartbeat=beat, step=number + 1)
            log = place / root / name / "logs" / "training.log"
            log.parent.mkdir(parents=True)
            log.write_text("".join(f"{root} {line}\n" for line in range(9)))
            write_json(log.parents[1] / "status.json", record.to_json())
    return place


@pytest.fixture
def try_out(request: pytest.FixtureRequest, place: Path, monkeypatch: pytest.MonkeyPatch) -> Try:
    """Give words to a command whose work is recorded, not done; the same words are tried once."""
    monkeypatch.chdir(place)
    calls: list[str] = []
    known: dict[tuple[str, ...], Effect] = {}

    def replace(target: str) -> None:
        module, _, path = target.partition(":")
        *outer, name = path.split(".")
        owner = functools.reduce(getattr, outer, importlib.import_module(f"sb3_ext.{module}"))

        def record(*arguments: Any, **named: Any) -> Any:
            calls.append(f"{target} {arguments} {named}")
            return RESULTS.get(name, Stub())

        monkeypatch.setattr(owner, name, record)

    for target in REPLACED.get(request.getfixturevalue("command"), []):
        replace(target)

    def run(words: Sequence[str]) -> Effect:
        if tuple(words) not in known:
            calls.clear()
            result = CliRunner().invoke(cli, words, catch_exceptions=False)
            known[tuple(words)] = Effect(result.exit_code, result.stdout, result.stderr, calls.copy())
        return known[tuple(words)]

    return run


def test_the_table_has_every_pair_of_every_command() -> None:
    expected = {
        path: set(combinations(list_names(found), 2))
        for path, found in list_commands().items()
        if len(list_names(found)) > 1
    }
    assert {path: set(pairs) for path, pairs in read_table().items()} == expected
    assert {mark for pairs in read_table().values() for mark in pairs.values()} == {"+", "=", "x"}


@pytest.mark.parametrize("command", read_table())
def test_two_options_both_act_or_are_refused_in_one_line(command: str, try_out: Try) -> None:
    wrong = {}
    for pair, mark in read_table()[command].items():
        words = [give(command, name) for name in pair]
        effect = try_out(complete(command, pair, [*words[0], *words[1]]))
        if mark == "x":
            line = effect.stderr.splitlines()[-1]
            is_right = effect.exit_code == 2 and not effect.calls and all(name in line for name in pair)
        else:
            # An option that the other one needs is among the other one's words already.
            alone = [given for given in words if not set(given).issuperset(pair)]
            is_right = effect.exit_code == 0 and all(
                effect != try_out(complete(command, pair, given)) for given in alone
            )
        if not is_right:
            wrong[pair] = effect
    assert wrong == {}


BEGUN: dict[str, tuple[list[str], list[str]]] = {
    "CONFIG": (["a.yaml"], ["b.yaml"]),
    "--algo": (["--algo", "dqn"], ["--algo", "qrdqn"]),
    "--env": (["--env", "CartPole-v1"], ["--env", "Acrobot-v1"]),
    "--max-steps": (["--max-steps", "7"], ["--max-steps", "8"]),
    "--num-envs": (["--num-envs", "4"], ["--num-envs", "6"]),
    "--batch-size": (["--batch-size", "2"], ["--batch-size", "3"]),
    "--learning-rate": (["--learning-rate", "0.5"], ["--learning-rate", "0.25"]),
    "--gamma": (["--gamma", "0.5"], ["--gamma", "0.25"]),
    "--init-from": (["--init-from", "weights.zip"], []),
    "--seed": (["--seed", "3"], ["--seed", "4"]),
    "--device": (["--device", "cpu"], ["--device", "cuda"]),
    "--set": (["--set", "agent.params.tau=0.5"], []),
    "--checkpoint-dir": (["--checkpoint-dir", "disk"], []),
}
"""What two runs are begun with."""

SAME_AS = {
    "--config": (["--config", "a.yaml"], "CONFIG"),
    "--zoo": (["--zoo", "zoo/dqn/CartPole-v1"], "CONFIG"),
    "--force-cpu": (["--force-cpu"], "--device"),
}

ZOO = """
CartPole-v1: {n_timesteps: 10000, frame_stack: 2, n_envs: 4, batch_size: 2, learning_rate: 0.5, gamma: 0.5, tau: 0.5}
"""
"""The values of the run `a`, in RL Zoo's format."""


def carry_out(start: RunStart, *, rendered: bool = False) -> int:
    """In the place of a training: write the configuration and stop."""
    with start.session as session:
        session.paths.resolved_config.write_text(dump_config(fill_defaults(start.config)))
        session.paths.checkpoints.mkdir(exist_ok=True)
        session.status.update(step=1)
        session.finish("signal SIGTERM")
    return 0


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the runs `a` and `b`, begun with the first and the second values."""
    place = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(importlib.import_module("sb3_ext.cli.train"), "carry_out", carry_out)
        with zipfile.ZipFile("weights.zip", "w") as archive, archive.open("policy.pth", "w") as member:
            torch.save({}, member)
        Path("zoo").mkdir()
        Path("zoo/dqn.yml").write_text(ZOO)
        for number, (name, stack) in enumerate((("a", 2), ("b", 3))):
            Path(f"{name}.yaml").write_text(f"env: {{id: Acrobot-v1, frame_stack: {stack}}}\nagent: {{id: ppo}}\n")
            words = [word for values in BEGUN.values() for word in values[number]]
            result = CliRunner().invoke(cli, ["train", *words, "--run-dir", name], catch_exceptions=False)
            assert result.exit_code == 0, result.output
    return place


def test_a_resumed_run_takes_the_values_that_it_has_and_refuses_others(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(begun)
    monkeypatch.setattr(importlib.import_module("sb3_ext.cli.train"), "carry_out", carry_out)
    given = {name: first for name, (first, _) in BEGUN.items()} | {name: words for name, (words, _) in SAME_AS.items()}
    marks = read_table()["train"]
    names = {name for pair, mark in marks.items() for name in pair if mark == "=" and "--resume" in pair}
    assert given.keys() | {"--mock-env", "--resume"} == names
    for name, words in given.items():
        same = CliRunner().invoke(cli, ["train", "--resume", "a", *words], catch_exceptions=False)
        assert same.exit_code == 0, (name, same.output)
        other = CliRunner().invoke(cli, ["train", "--resume", "b", *words], catch_exceptions=False)
        assert other.exit_code == 2, name
        *differences, rule = other.stderr.splitlines()
        assert "resume" in rule, name
        for line in differences or [rule]:
            assert any(place in line for place in (words[0], "a.yaml:", "zoo/dqn.yml:")), name


def test_the_whole_command_line_resumes_its_run(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(begun)
    monkeypatch.setattr(importlib.import_module("sb3_ext.cli.train"), "carry_out", carry_out)
    words = [word for values in BEGUN.values() for word in values[0]]
    result = CliRunner().invoke(cli, ["train", *words, "--run-dir", "a", "--resume"], catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--seed", "1", "--set", "seed=2"], "--seed and --set seed=… set the same key: leave out one of them"),
        (["--gamma", "0.5", "--set", "agent.params={}"], "--gamma and --set agent.params=… set the same key"),
        (["--force-cpu", "--set", "agent.device=cuda"], "--force-cpu and --set agent.device=… set the same key"),
        (
            ["--checkpoint-freq", "9", "--set", "train.callbacks=[]"],
            "--checkpoint-freq and --set train.callbacks=… set",
        ),
    ],
)
def test_a_flag_and_an_assignment_do_not_contradict_each_other(
    words: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["train", "cartpole_ppo", *words])
    assert result.exit_code == 2
    assert line in result.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["plot", "x", "-o", "a.png", "--csv", "a.png"], "--output and --csv both write a.png: give two names"),
        (["compare", "x", "y", "-o", "a.png", "--json", "a.md"], "its report and --json both write a.md"),
        (["league", "x", "-o", "a.png", "--json", "./a.png"], "--output and --json both write a.png"),
        (["enjoy", "x", "--video", "a.gif", "--json", "a.gif"], "--video and --json both write a.gif"),
    ],
)
def test_two_results_do_not_go_into_one_file(words: list[str], line: str) -> None:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert line in result.stderr.splitlines()[-1]
