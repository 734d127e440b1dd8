"""A league as tables of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from sb3_ext.selfplay.league import League

_WIDTH_WITHOUT_TERMINAL = 200


def print_league(league: League) -> None:
    """
    Write ratings, the payoff matrix, the agents' results, and what is to be known about them.

    :param league: played
    """
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    for table in (_make_ratings(league), _make_matrix(league), *_make_results(league)):
        console.print(table)
        console.print()
    click.echo(_describe_forgetting(league))
    least = min(league.results.values(), key=lambda result: result.distinct_games)
    click.echo(f"distinct games: at least {least.distinct_games} of {least.total.games} in every pairing")


def _make_ratings(league: League) -> Table:
    from rich.table import Table

    table = Table("", "player", title="Ratings", box=None, title_justify="left", title_style="bold")
    for name in ("step", "Elo", "95 % interval"):
        table.add_column(name, justify="right")
    table.add_column("")
    for rank, index in enumerate(league.rank(), start=1):
        player, rating = league.players[index], league.ratings[index]
        interval = "" if rating.low == rating.high else f"{round(rating.low)} to {round(rating.high)}"
        step = "" if player.step is None else f"{player.step:,}"
        table.add_row(str(rank), player.name, step, str(round(rating.elo)), interval, player.note)
    return table


def _make_matrix(league: League) -> Table:
    from rich.table import Table

    ranking = league.rank()
    title = "Score of the row against the column, in %"
    table = Table("", "player", title=title, box=None, title_justify="left", title_style="bold")
    for rank in range(1, len(ranking) + 1):
        table.add_column(str(rank), justify="right")
    for rank, row in enumerate(ranking, start=1):
        scores = ["·" if row == column else f"{100 * league.find_tally(row, column).score:.0f}" for column in ranking]
        table.add_row(str(rank), league.players[row].name, *scores)
    return table


def _make_results(league: League) -> Iterator[Table]:
    """Of the best agent and the latest. Those of the others are in the matrix, and in the JSON."""
    from rich.table import Table

    ranking = league.rank()
    for row in [index for index in ranking if league.players[index].is_main]:
        title = f"Results of {league.players[row].label}; scores in %"
        table = Table("against", title=title, box=None, title_justify="left", title_style="bold")
        for name in ("won", "drawn", "lost", "score", "95 % interval", "moving first", "second", "distinct games"):
            table.add_column(name, justify="right")
        for column in [index for index in ranking if index != row]:
            tally = league.find_tally(row, column)
            low, high = tally.interval95
            shares = [f"{100 * seat.score:.1f}" for seat in league.find_tallies(row, column)]
            table.add_row(
                *(league.players[column].label, *map(str, tally), f"{100 * tally.score:.1f}"),
                *(f"{100 * low:.1f} to {100 * high:.1f}", *shares),
                str(league.results[min(row, column), max(row, column)].distinct_games),
            )
        yield table


def _describe_forgetting(league: League) -> str:
    forgetting = league.find_forgetting()
    if forgetting is None:
        return "forgetting: takes more than one agent; --checkpoints all"
    share, past = f"{100 * forgetting.score:.1f} %", league.players[forgetting.against].name
    return f"forgetting: the lowest score of the newest agent against an earlier one is {share}, against {past}"
