"""``sb3-ext compare`` on runs that were really trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import sb3_ext
from sb3_ext.cli import cli
from sb3_ext.cli.compare import _print_tables
from sb3_ext.reports.comparison import Comparison, RunFigures


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compared")
    for name, seed, steps in (("one", 1, 128), ("two", 2, 192)):
        overrides = [
            "agent.id=ppo", "env.id=CartPole-v1", "agent.params.n_steps=32", "agent.params.batch_size=32",
            "agent.params.policy_kwargs.net_arch=[8]", "agent.threads=1", "eval.episodes=1",
            f"seed={seed}", f"train.total_steps={steps}",
        ]  # fmt: skip
        sb3_ext.train(None, run_dir=root / name, overrides=overrides)
    return root


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def compare(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["compare", *map(str, arguments)])


def test_table_picture_report_and_figures(trained: Path) -> None:
    result = compare(trained / "one", trained / "two", "--json", "c.json")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-3:] == ["comparison.png", "comparison.md", "c.json"]
    assert "return at 128 steps" in result.stdout
    assert "seed: 1 / 2" in result.stderr
    assert "total_steps" not in result.stderr
    assert Path("comparison.png").read_bytes().startswith(b"\x89PNG")
    assert "(comparison.png)" in Path("comparison.md").read_text()
    content = json.loads(Path("c.json").read_text())
    assert [run["steps"] for run in content["runs"]] == [128, 192]
    assert content["common_steps"] == 128
    assert content["runs"][0]["memory_peak_bytes"] > 0
    assert content["runs"][0]["speed_up"] == 1.0


def test_seeds_are_compared_in_words(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "one", tmp_path / "three", symlinks=True)
    config = tmp_path / "three" / "config.resolved.yaml"
    config.write_text(config.read_text().replace("seed: 1\n", "seed: 3\n"))
    result = compare(trained / "one", "three", trained / "two", "--json", "c.json")
    assert result.exit_code == 0, result.output
    assert "compare several seeds" not in result.stderr
    words = " ".join(result.stdout.split())
    assert "over seeds seeds IQM 95 % interval mean lowest to highest one, three 2 " in words
    assert "No conclusion about two and one, three: 1 and 2 runs are too few." in words
    assert [group["seeds"] for group in json.loads(Path("c.json").read_text())["evidence"]["groups"]] == [2, 1]


def test_a_run_without_a_measurement(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "one", tmp_path / "old", symlinks=True)
    (tmp_path / "old" / "benchmark_metrics.json").unlink()
    result = compare(trained / "two", tmp_path / "old", "-o", "c.svg")
    assert result.exit_code == 0, result.output
    assert "steps/s, overall" in result.stdout
    assert "–" in next(line for line in result.stdout.splitlines() if line.startswith("peak memory"))
    assert Path("c.md").exists()


def test_mistakes(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "one", tmp_path / "young", symlinks=True)
    (tmp_path / "young" / "metrics.json").unlink()
    shutil.copytree(trained / "one", tmp_path / "torn", symlinks=True)
    (tmp_path / "torn" / "benchmark_metrics.json").write_text("{")
    for name, file, content in (("odd", "metrics.json", '{"a": 1}'), ("empty", "config.resolved.yaml", "")):
        shutil.copytree(trained / "one", tmp_path / name, symlinks=True)
        (tmp_path / name / file).write_text(content)
    for arguments, message in (
        ([trained / "one"], "give two runs or more"),
        ([trained / "one", "nothing"], "no run with this path"),
        ([trained / "one", trained / "two/checkpoints/latest"], f"its run is {trained / 'two'}"),
        ([trained / "one", tmp_path], "is not a run"),
        ([trained / "one", "young"], "has written no metrics.json yet"),
        ([trained / "one", "odd"], "metrics.json: corrupt"),
        ([trained / "one", "empty"], "config.resolved.yaml: corrupt"),
        ([trained / "one", "torn"], "benchmark_metrics.json: corrupt"),
        ([trained / "one", trained / "two", "-o", "c.txt"], "ends in .png or .svg"),
    ):
        result = compare(*arguments)
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("width", "tables", "runs"), [(80, 4, 3), (100, 3, 4), (160, 2, 7), (None, 1, 8)]
)  # fmt: skip
def test_many_runs_go_below_each_other(
    width: int | None, tables: int, runs: int, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tuple(
        RunFigures(f"a-run-with-a-long-name-{n}", "completed", "32 in 4 workers", 1e5, 9e4, 10**8, 12345.0, 10000.0,
                   20000.0, 1.0, 0.1, 0.5, 0.5, 3e9, 2e9, 1.9, 10**6, 123.45, 123.45, 123.45) for n in range(8)
    )  # fmt: skip
    _print_tables(Comparison(figures, 10**8, 1e5, is_fps_overall=False), width)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= (width or 300)
    assert sum(line.startswith("status") for line in lines) == tables
    assert next(line for line in lines if line.startswith("steps ")).count("100,000,000") == runs
    names = [name for line in lines if "-run-" in line or "…" in line for name in line.split()]
    assert len(set(names)) == 8
    assert ("a-run-with-a-long-name-7" in names) == (width is None)
