"""``sb3-ext report``: one page that needs nothing else, with everything about a run and nothing private."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sb3_ext.cli import cli
from sb3_ext.reports.run_report.private_text import remove_secrets, shorten_home
from sb3_ext.runs.status import RunStatus

SCRIPT = "</script><script>alert(1)</script>"
STEPS = list(range(10, 2010, 10))
CONFIG = f"""\
# {SCRIPT}
env: {{id: My-v0, params: {{data: {Path.home()}/levels}}}}
agent: {{id: ppo}}
tracking: {{wandb: {{api_key: s3cr3t, project: mine}}, mlflow: {{tracking_uri: "https://me:pass@host/x"}}}}
"""
RESOLVED = f"{CONFIG}eval: {{name: test levels}}\nparallel: {{mode: sequential, num_envs: 4}}\n"


class Page(HTMLParser):
    """The texts of a page, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def write_run(root: Path, **changes: Any) -> Path:
    root.mkdir()
    record = RunStatus(
        status="completed", phase="finished", step=2000, total_steps=2000, episode=200, elapsed_seconds=100.0,
        start_time="2026-11-01T10:00:00+00:00", last_heartbeat="2026-11-01T10:02:00+00:00", stop_reason="converged",
        stop_detail=SCRIPT, host="secret-host", pid=1234, run_id="1", stage=2, stages=2, stage_name="hard",
    )  # fmt: skip
    (root / "status.json").write_text(json.dumps({**record.to_json(), **changes}))
    meta = {
        "command": f"sb3-ext train {Path.home()}/my.yaml --set tracking.wandb.api_key=s3cr3t",
        "start_time_iso": "2026-11-01T10:00:00+00:00", "seed": 7, "device": "cpu", "git_commit": "abc123",
        "overrides": {"agent.params.net_arch": [8, 8]}, "git_dirty": True,
        "torch_version": "2.13.0", "sb3_ext_version": "1.0", "config_path": f"{Path.home()}/my.yaml",
    }  # fmt: skip
    (root / "meta.json").write_text(json.dumps(meta))
    (root / "config.yaml").write_text(CONFIG)
    (root / "config.resolved.yaml").write_text(RESOLVED)
    (root / "requirements.txt").write_text("torch==2.13.0\n")
    seconds = [step / 20 for step in STEPS]
    change = {"stage": 1, "name": SCRIPT, "step": 500, "episode": 50, "reason": "mean return 5.00, target 5"}
    metrics = {
        "summary": {"episode_return_mean": 123.456},
        "ratings": {
            "agent": {"mu": 30.0, "sigma": 1.0, "games": 9},
            "random": {"mu": 10.0, "sigma": 1.0, "games": 9},
        },
        "curriculum": [change],
        "episodes": {"step": STEPS, "return": STEPS, "length": [5] * len(STEPS), "elapsed_seconds": seconds},
        "training": {"step": STEPS, "elapsed_seconds": seconds, "train/loss": [None, *STEPS[1:]], "mine/x": STEPS},
    }
    (root / "metrics.json").write_text(json.dumps(metrics))
    benchmark = {
        "fps": {"overall": 20.0, "mean": 25.0},
        "shares": {"collecting": 0.5, "updating": 0.25, "evaluating": 0.25, "saving": 0.0, "other": 0.0},
        "memory": {"peak_bytes": 3e8},
        "machine": {"host": "secret-host", "cpu_model": "Z80", "memory_bytes": 8e9},
    }
    (root / "benchmark_metrics.json").write_text(json.dumps(benchmark))
    line = {"step": 1000, "elapsed_seconds": 50.0, "episodes": 10, "std_return": 1.0, "mean_length": 5.0}
    lines = [{**line, "mean_return": 71.25, "ci95": [70.0, 72.0], "info": {"x": [1, 2]}}, {**line, "mean_return": None}]
    (root / "evaluations.jsonl").write_text("".join(json.dumps(item) + "\n" for item in lines))
    (root / "evaluations").mkdir()
    (root / "evaluations" / "hard.jsonl").write_text(json.dumps({**line, "mean_return": 3.5, "success_rate": 0.4}))
    resume = {
        "time": "2026-11-01T10:01:00+00:00",
        "checkpoint": "step_000001000",
        "overrides": {"train.duration": "1h"},
    }
    (root / "resumes.jsonl").write_text(json.dumps(resume) + "\n")
    (root / "best.gif").write_bytes(b"GIF89a")
    return root


@pytest.fixture
def write_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(cli, ["report", *arguments])


def read_data(page: str) -> dict[str, Any]:
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    data: dict[str, Any] = json.loads(text)
    return data


def test_a_page_tells_everything_about_a_run(write_report: Callable[..., Result], tmp_path: Path) -> None:
    result = write_report(str(write_run(tmp_path / "mine")))
    assert result.exit_code == 0, result.output
    assert result.output == "report.html\n"

    page = Path("report.html").read_text()
    found = Page(page)
    for expected in (
        "mine completed ppo on My-v0, 4 environments",
        "best evaluation 71.25 at step 1,000",
        "training return 123.46",
        "stage 2 of 2 hard",
        "test levels step mean return ± std 95 % interval length episodes x",
        "1,000 71.25 1.00 70.00 to 72.00 5.00 10 1.50",
        "hard step mean return",
        "40.0%",
        "1 agent 30.0 1.0 9 2 random",
        "resumed from step_000001000; train.duration = 1h",
        "converged: </script>",
        "collecting 50.0 %",
        "Z80",
        "abc123 with changes",
        "sb3-ext train config.yaml --set 'agent.params.net_arch=[8, 8]' --set train.duration=1h --run-dir runs/again",
        "project: mine",
        "torch==2.13.0",
        "best.gif",
    ):
        assert expected in found.text
    data = read_data(page)
    titles = [(chart["title"], chart["main"]) for chart in data["charts"]]
    assert titles == [
        ("Return", True), ("Success rate of evaluations", True), ("Episode length", True), ("Loss", True),
        ("mine/x", False),
    ]  # fmt: skip
    returns, evaluation, hard = data["charts"][0]["series"]
    assert (returns["x"][-1], returns["y"][-1], returns["t"][-1]) == (2000, 2000, 100)
    assert (evaluation["name"], evaluation["y"], evaluation["low"]) == ("test levels", [71.25], [70])
    assert (hard["name"], hard["y"]) == ("hard", [3.5])
    assert data["marks"] == [{"x": 500, "label": SCRIPT}]


def test_a_page_has_nothing_private_loads_nothing_and_escapes_texts(
    write_report: Callable[..., Result], tmp_path: Path
) -> None:
    write_report(str(write_run(tmp_path / "mine")))

    page = Path("report.html").read_text()
    found = Page(page)
    assert [word for word in ("s3cr3t", "me:pass", "secret-host", "1234", str(Path.home())) if word in page] == []
    assert [address for address in found.loaded if not address.startswith("data:")] == []
    assert found.tags.count("script") == 2
    assert "alert(1)" in found.text
    assert len(page) < 60_000


def test_long_trainings_have_small_reports(write_report: Callable[..., Result], tmp_path: Path) -> None:
    run = write_run(tmp_path / "mine")
    metrics = json.loads((run / "metrics.json").read_text())
    count = 20_000
    steps = list(range(count))
    metrics["episodes"] = {"step": steps, "return": steps, "length": steps, "elapsed_seconds": steps}
    metrics["training"] = {"step": steps, "elapsed_seconds": steps, "train/loss": steps}
    (run / "metrics.json").write_text(json.dumps(metrics))
    write_report(str(run))

    page = Path("report.html").read_text()
    [returns, *_] = read_data(page)["charts"][0]["series"]
    assert len(page) < 200_000
    assert len(returns["x"]) == 300
    assert returns["x"][-1] == count - 1
    assert returns["name"] == "training episodes, means of 67"
    assert returns["low"][0] < returns["y"][0] < returns["high"][0]


def test_a_running_run_is_reported_as_it_is_now(write_report: Callable[..., Result], tmp_path: Path) -> None:
    run = write_run(tmp_path / "mine", status="running", host=None, pid=None, stop_reason=None)
    for name in ("metrics.json", "benchmark_metrics.json", "evaluations.jsonl", "requirements.txt"):
        (run / name).unlink()
    result = write_report(str(run))

    assert result.exit_code == 0, result.output
    assert "dead" in Page(Path("report.html").read_text()).text


def test_a_sweep_has_its_seeds_in_one_report(write_report: Callable[..., Result], tmp_path: Path) -> None:
    sweep = tmp_path / "seeds"
    sweep.mkdir()
    (sweep / "sweep.json").write_text('{"seeds": [1, 2, 3]}')
    for seed in (1, 2, 3):
        run = write_run(sweep / f"seed_{seed}", elapsed_seconds=10.0)
        (run / "config.resolved.yaml").write_text(f"{RESOLVED}seed: {seed}\n")
        metrics = json.loads((run / "metrics.json").read_text())
        metrics["summary"] |= {"step": 2000, "elapsed_seconds": 100.0}
        (run / "metrics.json").write_text(json.dumps(metrics))
        line = {"step": 1000, "elapsed_seconds": 50.0, "episodes": 1, "mean_return": 10.0 * seed, "ci95": None}
        (run / "evaluations.jsonl").write_text(json.dumps(line) + "\n")
    result = write_report("seeds")
    assert result.exit_code == 0, result.output

    page = Path("report.html").read_text()
    found = Page(page)
    for expected in (
        "seeds completed ppo on My-v0, 4 environments, 3 seeds",
        "runs 3 3 completed interquartile mean 20.00",
        "seed_2 2 completed 2,000 20.00 20.00 converged",
        "--seeds 1,2,3 --run-dir runs/again sb3-ext compare runs/seeds runs/again",
        "Scores: mean return of the last evaluation",
    ):
        assert expected in found.text
    titles = [chart["title"] for chart in read_data(page)["charts"]]
    assert titles == ["Mean return of evaluations", "Return of training episodes", "Episode length"]
    assert write_report("seeds", "--force", "--film", "best.gif").exit_code == 2


def test_of_equally_good_evaluations_the_newest_is_the_best(
    write_report: Callable[..., Result], tmp_path: Path
) -> None:
    run = write_run(tmp_path / "mine")
    lines = [{"step": step, "episodes": 1, "mean_return": mean} for step, mean in ((10, 5.0), (20, 5.0), (30, 4.0))]
    (run / "evaluations.jsonl").write_text("".join(json.dumps(item) + "\n" for item in lines))
    assert write_report(str(run)).exit_code == 0
    page = Path("report.html").read_text()
    assert "best evaluation 5.00 at step 20" in Page(page).text
    assert '<tr class="marked"><td>20</td>' in page


def test_mistakes_have_one_line_and_write_nothing(write_report: Callable[..., Result], tmp_path: Path) -> None:
    run = str(write_run(tmp_path / "mine"))
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(11_000_000))
    for arguments, message in (
        (["none"], "none"),
        ([run, "-o", "report.txt"], "expected a name that ends in .html"),
        ([run, "--film", "large.mp4"], "large.mp4: has 11.0 MB, but the films of a report may have 10.0 MB together"),
        ([run, "--film", "no.mp4"], "no.mp4: cannot be read: No such file or directory"),
        ([run, "--film", "a.txt"], "a.txt: expected a film"),
    ):
        result = write_report(*arguments)
        assert result.exit_code == 2, result.output
        assert message in result.output
    assert not Path("report.html").exists()

    Path("report.html").write_text("mine")
    result = write_report(run)
    assert (result.exit_code, result.output) == (2, "report.html: exists already; add --force to replace it\n")
    assert Path("report.html").read_text() == "mine"
    assert write_report(run, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("api_key: abc", "api_key: ***"),
        ("  - token: a,b}c#d e\n", "  - token: ***\n"),
        ("{wandb: {api_key: abc, project: x}}", "{wandb: {api_key: ***, project: x}}"),
        ("--set a.hf_token=abc --seed 1", "--set a.hf_token=*** --seed 1"),
        ("train --password abc --seed 1", "train --password *** --seed 1"),
        ('"secret": "a b"', '"secret": ***'),
        ("postgresql://me:abc@host/db", "postgresql://***@host/db"),
        ("https://host/?api_key=abc&x=1", "https://host/?api_key=***&x=1"),
        ("metric_key: loss\npassword: null", "metric_key: loss\npassword: null"),
        ("https://github.com/a/b", "https://github.com/a/b"),
    ],
)
def test_secrets_are_hidden(text: str, public: str) -> None:
    assert remove_secrets(text) == public


def test_home_is_shortened() -> None:
    home = Path("/home/me")
    assert shorten_home("/home/me/x /home/men/y /home/me", home) == "~/x /home/men/y ~"
