"""What a report says about a run, as plain data: read from its directory, without secrets and home directories."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.errors import CheckpointError, RunError
from sb3_ext.formatting import format_bytes, format_duration
from sb3_ext.reports.benchmark_file import PHASES
from sb3_ext.reports.evaluations import read_evaluations
from sb3_ext.reports.run_report.chart_data import make_charts, make_marks
from sb3_ext.reports.run_report.private_text import make_public, shorten_home
from sb3_ext.runs.run import LIVE_STATUSES, Run
from sb3_ext.runs.status import RunStatus

MAX_FILM_BYTES = 10_000_000
"""Of all films in a report."""

_FILM_TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif", ".png": "image/png"}
_AGENT_RATING = "agent"
Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """
    :param head: titles of the columns
    :param rows: cells, as texts
    :param marked: index of the row to emphasize; ``None`` for none
    """

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    marked: int | None = None


@dataclass(frozen=True)
class EmbeddedFilm:
    """
    :param name: of the file
    :param source: its content as a ``data:`` URL
    :param is_video: whether it has controls
    """

    name: str
    source: str
    is_video: bool


@dataclass(frozen=True)
class ReportContent:
    """
    :param name: of the run
    :param status: see :attr:`sb3_ext.runs.run.Run.status`
    :param is_live: whether training goes on
    :param subtitle: algorithm and environment
    :param notes: what readers must know, such as that the environment is a mock
    :param tiles: the most important numbers, each with its label and a note
    :param charts: see :func:`~sb3_ext.reports.run_report.chart_data.make_charts`
    :param marks: steps with a label, in all charts
    :param evaluations: a table for each evaluation, by its name
    :param stages: of the curriculum; ``None`` without one
    :param ratings: of self-play; ``None`` without it
    :param league: results of ``sb3-ext league``; ``None`` without them
    :param films: the embedded films
    :param shares: of the time, by phase
    :param speed: labels and values
    :param checkpoints: those on the disk
    :param course: how the run went: start, resumes, end
    :param setup: command, versions, machine
    :param config: the configuration as it was written
    :param resolved_config: with all defaults
    :param requirements: installed packages
    :param commands: how to reproduce the run
    :param course_title: title of the table ``course``
    :param over_seeds: statistics over the runs of a sweep; ``None`` for a single run
    :param conclusions: what follows from them
    """

    name: str
    status: str
    is_live: bool
    subtitle: str
    notes: list[str]
    tiles: list[tuple[str, str, str]]
    charts: list[dict[str, Any]]
    marks: list[dict[str, Any]]
    evaluations: dict[str, Table]
    stages: Table | None
    ratings: Table | None
    league: Table | None
    films: list[EmbeddedFilm]
    shares: list[tuple[str, float]]
    speed: Rows
    checkpoints: Table | None
    course: Table
    setup: Rows
    config: str
    resolved_config: str
    requirements: str
    commands: str
    course_title: str = "Course"
    over_seeds: Table | None = None
    conclusions: list[str] = field(default_factory=list)


def read_report_content(run: Run, films: Sequence[Path] = (), *, with_films: bool = True) -> ReportContent:
    """
    :param run: the run, which may be running
    :param films: further films, beside those in the run directory
    :param with_films: embed films
    :return: what its report says
    :raises RunError: if a file of the run is corrupt, or a film cannot be embedded
    """
    record, meta, metrics, benchmark = run.record, run.meta, run.metrics, run.benchmark
    resolved = _read_text(run.paths.resolved_config)
    try:
        config = yaml.safe_load(resolved) or {}
    except yaml.YAMLError as error:
        raise RunError(f"{run.paths.resolved_config}: cannot be read: {error}") from error
    of_game = config.get("game") is not None
    evaluations = _read_evaluations(run, config)
    embedded, notes = _embed_films(run, films) if with_films else ([], [])
    if record.mock:
        notes.insert(0, "The environment is a mock: observations and rewards are noise.")
    return ReportContent(
        name=run.name,
        status=record.status,
        is_live=record.status in LIVE_STATUSES,
        subtitle=_make_subtitle(config),
        notes=notes,
        tiles=_make_tiles(record, metrics, evaluations),
        charts=make_charts(metrics, evaluations, of_game=of_game),
        marks=make_marks(metrics),
        evaluations={name: _make_evaluations(lines) for name, lines in evaluations.items() if lines},
        stages=_make_stages(metrics),
        ratings=_make_ratings(metrics.get("ratings") or {}),
        league=_read_league(run.paths.root / "league.json"),
        films=embedded,
        shares=[(name, benchmark.get("shares", {}).get(name) or 0.0) for name in (*PHASES, "other")],
        speed=_make_speed(record, benchmark),
        checkpoints=_make_checkpoints(run),
        course=_make_course(run, record),
        setup=_make_setup(run, meta, benchmark, config),
        config=make_public(run.config_text),
        resolved_config=make_public(resolved),
        requirements=_read_text(run.paths.requirements),
        commands=_make_commands(run, meta),
    )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(errors="replace") if path.exists() else ""
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error


def _read_evaluations(run: Run, config: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """:return: the lines of each evaluation by its name, the first one first"""
    name = (config.get("eval") or {}).get("name") or "evaluation"
    others = sorted(run.paths.other_evaluations.glob("*.jsonl"))
    return {
        name: read_evaluations(run.paths.evaluations),
        **{path.stem: read_evaluations(path) for path in others},
    }


def _make_subtitle(config: Mapping[str, Any]) -> str:
    task = (config.get("game") or config.get("env") or {}).get("id", "unknown environment")
    agent = config.get("agent") or {}
    envs = (config.get("parallel") or {}).get("num_envs")
    count = "" if envs is None else f", {envs} {'boards' if config.get('game') else 'environments'}"
    return f"{agent.get('id', 'unknown algorithm')} on {task}{count}"


def _make_tiles(
    record: RunStatus, metrics: Mapping[str, Any], evaluations: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[tuple[str, str, str]]:
    tiles: list[tuple[str, str, str]] = []
    first = next(iter(evaluations.values()), [])
    judged = [line for line in first if line.get("mean_return") is not None]
    if judged:
        # Of equal ones the newest, as in checkpoints/best.
        best, last = max(reversed(judged), key=lambda line: line["mean_return"]), judged[-1]
        tiles.append(("best evaluation", format_number(best["mean_return"]), f"at step {best['step']:,}"))
        tiles.append(
            ("last evaluation", format_number(last["mean_return"]), f"± {format_number(last.get('std_return'))}")
        )
    summary = metrics.get("summary") or {}
    mean = summary.get("episode_return_mean", record.episode_return_mean)
    if mean is not None:
        tiles.append(("training return", format_number(mean), "mean of the last 100 episodes"))
    total_steps = record.nearest_total_steps
    total = "" if total_steps is None else f"of {total_steps:,}"
    tiles.append(("steps", f"{record.step:,}", total))
    tiles.append(("episodes", f"{record.episode:,}", ""))
    tiles.append(("time", format_duration(record.elapsed_seconds), ""))
    if record.rating is not None and record.rating_sigma is not None:
        tiles.append(("rating", f"{record.rating:.1f}", f"± {record.rating_sigma:.1f}"))
    if record.stage is not None:
        tiles.append(("stage", f"{record.stage} of {record.stages}", record.stage_name or ""))
    return tiles


def _make_evaluations(lines: Sequence[Mapping[str, Any]]) -> Table:
    has_success = any(line.get("success_rate") is not None for line in lines)
    infos = list(dict.fromkeys(key for line in lines for key in line.get("info") or {}))
    head = ("step", "mean return", "± std", "95 % interval", "length", "episodes")
    rows: list[tuple[str, ...]] = []
    for line in lines:
        low, high = line.get("ci95") or (None, None)
        truncated = line.get("truncated_episodes")
        cells = [
            f"{line['step']:,}",
            format_number(line.get("mean_return")),
            format_number(line.get("std_return")),
            "–" if low is None or high is None else f"{format_number(low)} to {format_number(high)}",
            format_number(line.get("mean_length")),
            f"{line.get('episodes', '–')}" + (f", {truncated} truncated" if truncated else ""),
        ]
        if has_success:
            cells.append(_share(line.get("success_rate")))
        for key in infos:
            values = [value for value in (line.get("info") or {}).get(key, []) if value is not None]
            cells.append(format_number(sum(values) / len(values)) if values else "–")
        rows.append(tuple(cells))
    known = [(line["mean_return"], index) for index, line in enumerate(lines) if line.get("mean_return") is not None]
    best = max(known)[1] if known else None  # of equal ones the newest, as in checkpoints/best
    return Table((*head, *(["success rate"] if has_success else []), *infos), rows, best)


def _make_stages(metrics: Mapping[str, Any]) -> Table | None:
    changes = metrics.get("curriculum")
    if changes is None:
        return None
    rows = [
        (str(change["stage"]), change["name"], f"{change['step']:,}", f"{change['episode']:,}", change["reason"])
        for change in changes
    ]
    return Table(("stage", "name", "step", "episode", "why it began"), rows)


def _make_ratings(ratings: Mapping[str, Mapping[str, float]]) -> Table | None:
    if not ratings:
        return None
    ranked = sorted(ratings.items(), key=lambda item: -item[1]["mu"])
    rows = [
        (str(place), name, f"{found['mu']:.1f}", f"{found['sigma']:.1f}", f"{int(found['games']):,}")
        for place, (name, found) in enumerate(ranked, start=1)
    ]
    agent = next((index for index, row in enumerate(rows) if row[1] == _AGENT_RATING), None)
    return Table(("", "player", "rating", "± σ", "games"), rows, agent)


def _read_league(path: Path) -> Table | None:
    """Read what ``sb3-ext league --json`` has written into the run directory."""
    try:
        content = json.loads(path.read_text()) if path.exists() else None
        if content is None:
            return None
        players = sorted(content["players"], key=lambda found: -found["elo"])
        rows = [
            (str(place), str(player["name"]), f"{player['elo']:.0f}", f"{player['low']:.0f} to {player['high']:.0f}")
            for place, player in enumerate(players, start=1)
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: is not a result of sb3-ext league --json: {error!r}") from error
    return Table(("", "player", "Elo", "95 % interval"), rows)


def _embed_films(run: Run, further: Sequence[Path]) -> tuple[list[EmbeddedFilm], list[str]]:
    """:return: films that fit together, the given ones first; and which were left out"""
    films: list[EmbeddedFilm] = []
    notes: list[str] = []
    left = MAX_FILM_BYTES
    found = [path for path in (*run.paths.root.glob("*"), *run.paths.videos.glob("*")) if _is_film(path)]
    for path in (*further, *sorted(found)):
        kind = _FILM_TYPES.get(path.suffix.lower())
        if kind is None:
            raise RunError(f"{path}: expected a film: a name that ends in {', '.join(_FILM_TYPES)}")
        try:
            size = path.stat().st_size
            if size <= left:
                left -= size
                data = base64.b64encode(path.read_bytes()).decode()
                films.append(EmbeddedFilm(path.name, f"data:{kind};base64,{data}", kind.startswith("video")))
                continue
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}") from error
        limit = f"films of a report may have {format_bytes(MAX_FILM_BYTES)} together"
        if path in further:
            raise RunError(f"{path}: has {format_bytes(size)}, but the {limit}")
        notes.append(f"The film {path.name} of {format_bytes(size)} is left out: {limit}.")
    return films, notes


def _is_film(path: Path) -> bool:
    return path.suffix.lower() in (".mp4", ".webm", ".gif") and path.is_file()


def _make_speed(record: RunStatus, benchmark: Mapping[str, Any]) -> Rows:
    fps, memory, cpu = (benchmark.get(name) or {} for name in ("fps", "memory", "cpu"))
    peaks = {"memory at most": memory.get("peak_bytes"), "GPU memory at most": memory.get("cuda_peak_bytes")}
    rows: list[tuple[str, str | None]] = [
        ("steps per second", _count(fps.get("overall", record.fps))),
        ("… of collecting and updating alone", _count(fps.get("mean"))),
        ("an iteration (rollout and update)", _seconds(benchmark.get("iteration_seconds"))),
        ("cores used, on average", format_number(cpu.get("cores_used"))),
        *((name, None if peak is None else format_bytes(peak)) for name, peak in peaks.items()),
    ]
    return [(name, value) for name, value in rows if value is not None and value != "–"]


def _make_checkpoints(run: Run) -> Table | None:
    if not run.paths.checkpoints.is_dir():
        return None
    store = CheckpointStore(run.paths.checkpoints)
    bundles = store.list_bundles()
    if not bundles:
        return None
    try:
        best = store.find_best(playing_only=True)
    except CheckpointError:
        best = None
    rows: list[tuple[str, ...]] = []
    marked = None
    for index, bundle in enumerate(bundles):
        manifest, score = bundle.manifest, bundle.score
        if best is not None and bundle.step == best.step and score is not None:
            marked = index
        size = sum(entry.size_bytes for entry in manifest.files.values())
        exact = "exact" if manifest.exact else f"approximate: {manifest.exact_reason}"
        value = "–" if score is None else f"{format_number(score.value)} ({score.of.replace('_', ' ')})"
        rows.append((bundle.path.name, f"{bundle.step:,}", value, _time(manifest.time), format_bytes(size), exact))
    return Table(("name", "step", "score", "time", "size", "resume"), rows, marked)


def _make_course(run: Run, record: RunStatus) -> Table:
    rows = [(_time(record.start_time), "started", "")]
    for line in run.resumes:
        detail = [f"from {line['checkpoint']}" if line.get("checkpoint") else "from the start"]
        if line.get("overrides"):
            detail.append(", ".join(f"{key} = {value}" for key, value in line["overrides"].items()))
        if line.get("approximate"):
            detail.append(f"approximate: {line['approximate']}")
        rows.append((_time(line.get("time")), "resumed", make_public("; ".join(detail))))
    if record.status in LIVE_STATUSES:
        rows.append((_time(record.last_heartbeat), "last heartbeat", record.phase))
    else:
        rows.append((_time(record.last_heartbeat), record.status, make_public(record.explanation)))
    return Table(("time", "event", "details"), rows)


def _make_setup(run: Run, meta: Mapping[str, Any], benchmark: Mapping[str, Any], config: Mapping[str, Any]) -> Rows:
    machine = benchmark.get("machine") or {}
    commit = meta.get("git_commit")
    cores = machine.get("available_cores", meta.get("cpu_count"))
    memory = machine.get("memory_bytes")
    parallel = config.get("parallel") or {}
    engine = (config.get("agent") or {}).get("engine")
    versions = {key.removesuffix("_version"): value for key, value in meta.items() if key.endswith("_version")}
    rows: list[tuple[str, Any]] = [
        ("command", make_public(str(meta.get("command") or "from Python"))),
        ("seed", meta.get("seed")),
        ("parallel mode", parallel.get("mode")),
        ("engine", engine),
        ("device", meta.get("device")),
        ("git commit", f"{commit} with changes" if commit and meta.get("git_dirty") else commit),
        ("versions", ", ".join(f"{name} {value}" for name, value in versions.items() if value)),
        ("platform", machine.get("platform", meta.get("platform"))),
        ("processor", machine.get("cpu_model")),
        ("cores", cores),
        ("memory of the machine", None if memory is None else format_bytes(memory)),
        ("tracked by", make_public(", ".join(f"{name}: {place}" for name, place in run.trackers.items())) or None),
        ("branched from", None if meta.get("branched_from") is None else shorten_home(str(meta["branched_from"]))),
    ]
    return [(name, str(value)) for name, value in rows if value not in (None, "")]


def _make_commands(run: Run, meta: Mapping[str, Any]) -> str:
    version = meta.get("sb3_ext_version")
    commit = meta.get("git_commit")
    seed = [] if meta.get("seed") is not None else ["# the run had no seed: another training will differ"]
    checkout = [f"git checkout {commit}"] if commit else []
    return "\n".join(
        [
            "# config.yaml is the configuration below; requirements.txt the packages",
            *checkout,
            "pip install -r requirements.txt" if run.paths.requirements.exists() else f"pip install sb3-ext=={version}",
            *seed,
            " ".join(["sb3-ext train config.yaml", *_list_overrides(run, meta), "--run-dir runs/again"]),
            f"sb3-ext compare runs/{run.name} runs/again",
        ]
    )


def _list_overrides(run: Run, meta: Mapping[str, Any]) -> list[str]:
    """:return: options for what was set on the command line, at the start or at a resume"""
    overrides = dict(meta.get("overrides") or {})
    for line in run.resumes:
        overrides.update(line.get("overrides") or {})
    words = (f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in overrides.items())
    return [f"--set {shlex.quote(make_public(word))}" for word in words]


def _time(text: str | None) -> str:
    return "–" if text is None else f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S %Z}"


def format_number(value: float | None) -> str:
    """
    :param value: any number
    :return: with two decimals, fewer if it is large; ``–`` if it is unknown
    """
    if value is None:
        return "–"
    size = abs(value)
    if size and (size >= 1e7 or size < 1e-3):
        return f"{value:.3g}"
    return f"{value:,.2f}" if size < 1000 else f"{value:,.0f}"


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g} s"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
