"""A league as tables of text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from sb3_ext.cli.tables import Column, bold, format_blocks, format_table, measure_width, wrap
from sb3_ext.formatting import format_duration, shorten_names

if TYPE_CHECKING:
    from sb3_ext.selfplay.matches.round_robin import League
    from sb3_ext.training.exploitation import Exploitation

_PLAYER = Column("player", min_width=len("step_000000000"), shorten=shorten_names)


def print_league(league: League) -> None:
    """
    Write ratings, the payoff matrix, the agents' results, and what is to be known about them.

    :param league: played
    """
    width = measure_width()
    for title, lines in _list_tables(league, width):
        click.echo("\n".join([bold(title), *lines, ""]))
    least = min(league.results.values(), key=lambda result: result.distinct_games)
    distinct = f"distinct games: at least {least.distinct_games} of {least.total.games} in every pairing"
    for note in (_describe_forgetting(league), distinct):
        click.echo("\n".join(wrap(note, width)))


def _list_tables(league: League, width: int | None) -> Iterator[tuple[str, list[str]]]:
    """:return: title and lines of each"""
    yield "Ratings", _format_ratings(league, width)
    for block in _format_matrix(league, width):
        yield "Score of the row against the column, in %", block
    main = [index for index in league.rank() if league.players[index].is_main]
    for row in main:  # those of the others are in the matrix, and in the JSON
        yield f"Results of {league.players[row].label}; scores in %", _format_results(league, row, width)


def _format_ratings(league: League, width: int | None) -> list[str]:
    columns = [
        Column(align=">"),
        _PLAYER,
        Column("step", priority=2, align=">"),
        Column("Elo", align=">"),
        Column("95 % interval", priority=1, align=">"),
        Column(priority=3, min_width=len("trained against it")),
    ]
    rows = []
    for rank, index in enumerate(league.rank(), start=1):
        player, rating = league.players[index], league.ratings[index]
        interval = "" if rating.low == rating.high else f"{round(rating.low)} to {round(rating.high)}"
        step = "" if player.step is None else f"{player.step:,}"
        rows.append((str(rank), player.name, step, str(round(rating.elo)), interval, player.note))
    return format_table(columns, rows, width)


def _format_matrix(league: League, width: int | None) -> list[list[str]]:
    ranking = league.rank()
    columns = [Column(align=">"), _PLAYER, *(Column(str(rank + 1), align=">") for rank in range(len(ranking)))]
    rows = []
    for rank, row in enumerate(ranking, start=1):
        scores = ["·" if row == column else f"{100 * league.get_tally(row, column).score:.0f}" for column in ranking]
        rows.append((str(rank), league.players[row].name, *scores))
    return format_blocks(columns, rows, width, fixed=2)


def _format_results(league: League, row: int, width: int | None) -> list[str]:
    columns = [
        replace(_PLAYER, title="against"),
        *(Column(title, priority=2, align=">") for title in ("won", "drawn", "lost")),
        Column("score", align=">"),
        Column("95 % interval", priority=1, align=">"),
        *(Column(title, priority=3, align=">") for title in ("moving first", "second")),
        Column("distinct games", priority=4, align=">"),
    ]
    rows = []
    for column in [index for index in league.rank() if index != row]:
        tally = league.get_tally(row, column)
        low, high = tally.interval95
        shares = [f"{100 * seat.score:.1f}" for seat in league.get_tallies(row, column)]
        distinct = league.results[min(row, column), max(row, column)].distinct_games
        rows.append(
            (
                *(league.players[column].label, *map(str, tally), f"{100 * tally.score:.1f}"),
                *(f"{100 * low:.1f} to {100 * high:.1f}", *shares, str(distinct)),
            )
        )
    return format_table(columns, rows, width)


def _describe_forgetting(league: League) -> str:
    forgetting = league.compute_forgetting()
    if forgetting is None:
        return "forgetting: takes more than one agent; --checkpoints all"
    share, past = f"{100 * forgetting.score:.1f} %", league.players[forgetting.against].name
    return f"forgetting: the lowest score of the newest agent against an earlier one is {share}, against {past}"


def print_exploitation(found: Exploitation) -> None:
    """
    Write how an exploiter did against the agent that it was trained against.

    :param found: its games
    """
    total = found.result.total
    low, high = (100 * bound for bound in total.interval95)
    took = f"{found.steps:,} steps, {format_duration(found.seconds)}, {found.stop_reason}"
    lines = [
        f"trained against {found.against} ({took})",
        f"wins {100 * found.win_rate:.1f} %, draws {100 * total.draws / total.games:.1f} % of {total.games:,} games; "
        f"its score is {100 * total.score:.1f} % (95 % interval {low:.1f} to {high:.1f}), "
        f"the agent's {100 - 100 * total.score:.1f} %",
        f"run of the exploiter: {found.run}",
    ]
    click.echo("\n" + bold("Fresh exploiter"))
    for line in lines:
        click.echo("\n".join(wrap(line, measure_width())))
