"""``sb3-ext enjoy --against``: how an agent does against one opponent, in either seat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sb3_ext.cli.fast_imports import importing_sb3
from sb3_ext.cli.tables import Column, format_table, measure_width

if TYPE_CHECKING:
    from sb3_ext.selfplay.matches.match_play import MatchResult, Tally

_DEFAULT_GAMES = 1000
_COLUMNS = (
    Column(),
    *(Column(title, align=">") for title in ("wins", "draws", "losses", "score")),
    Column("95 % interval", priority=1),
)


def print_match(
    target: str,
    against: str,
    *,
    checkpoint: str | None,
    games: int | None,
    deterministic: bool | None,
    seed: int | None,
    json_path: Path | None,
    trust: bool,
) -> None:
    """
    :param target: a run or a checkpoint
    :param against: the opponent
    :param checkpoint: of a run
    :param games: how many
    :param deterministic: take the most likely action
    :param seed: of openings and players
    :param json_path: where to write the figures
    :param trust: read pickles, too
    """
    with importing_sb3():
        from sb3_ext.agents.agent import find_agent
        from sb3_ext.agents.agent_games import play_against
        from sb3_ext.building.training_environments import choose_eval_seed

    source = find_agent(target, checkpoint=checkpoint)
    used_seed = choose_eval_seed(source.config) if seed is None else seed
    games = games or _DEFAULT_GAMES
    click.echo(f"{source.model.path}: {source.config.agent.id} against {against}, {games:,} games", err=True)
    result = play_against(source, against, games, deterministic=deterministic, seed=used_seed, trust=trust)
    _print_result(result)
    if json_path is not None:
        content = {"checkpoint": str(source.model.path), "against": against, "seed": used_seed, **result.to_json()}
        write_json_file(json_path, content)


def write_json_file(path: Path, content: dict[str, Any]) -> None:
    """
    :param path: a file, which is replaced
    :param content: plain data
    :raises Sb3ExtError: if it cannot be written
    """
    from sb3_ext.atomic import write_text
    from sb3_ext.errors import Sb3ExtError

    try:
        write_text(path, json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise Sb3ExtError(f"{path}: cannot be written: {error.strerror}") from error


def _print_result(result: MatchResult) -> None:
    first, second = result.by_seat
    tallies = (("moving first", first), ("moving second", second), ("together", result.total))
    rows = [_make_row(name, tally) for name, tally in tallies]
    for line in format_table(_COLUMNS, rows, measure_width()):
        click.echo(line)
    click.echo(f"{result.total.games} games from random openings, {result.distinct_games} of them different")


def _make_row(name: str, tally: Tally) -> tuple[str, ...]:
    low, high = tally.interval95
    counts = (str(tally.wins), str(tally.draws), str(tally.losses))
    return (name, *counts, f"{tally.score:.1%}", f"{low:.1%} to {high:.1%}")
