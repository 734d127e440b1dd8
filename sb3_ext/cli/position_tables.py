"""Moves in solved positions as tables of text and drawn boards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import click

from sb3_ext.cli.tables import Column, bold, format_blocks, measure_width, wrap
from sb3_ext.formatting import shorten_names

if TYPE_CHECKING:
    from sb3_ext.evaluation.league_positions import LeaguePositions
    from sb3_ext.selfplay.matches.round_robin import League
    from sb3_ext.selfplay.positions.move_quality import Mistake, Share

_DRAWN_MISTAKES = 3
_GAP = 4
_DEFAULT_WIDTH = 100


def print_positions(league: League, found: LeaguePositions) -> None:
    """
    Write the shares of right moves of all players, and the worst mistakes of the best and the latest agent.

    :param league: the league
    :param found: the moves of its players
    """
    width = measure_width()
    click.echo("\n" + bold("Play against the truth: right moves in %, in brackets where the choice matters"))
    ranking = league.rank()
    cells = list(found.qualities[0].by_cell)
    columns = [
        Column(align=">"),
        Column("player", min_width=len("step_000000000"), shorten=shorten_names),
        *(Column(title, align=">") for title in ("all", *cells)),
    ]
    rows = []
    for rank, index in enumerate(ranking, start=1):
        quality = found.qualities[index]
        shares = [quality.total, *quality.by_cell.values()]
        rows.append((str(rank), league.players[index].name, *map(_format_share, shares)))
    for block in format_blocks(columns, rows, width, fixed=2):
        click.echo("\n".join([*block, ""]))
    for line in wrap(f"right moves keep win, draw or loss, in {found.positions.describe()}", width):
        click.echo(line)
    for index in ranking:
        if found.mistakes.get(index):
            click.echo("\n" + bold(f"Worst mistakes of {league.players[index].label}"))
            click.echo("\n".join(_draw_mistakes(found.mistakes[index][:_DRAWN_MISTAKES], width or _DEFAULT_WIDTH)))


def _format_share(share: Share) -> str:
    matters = "" if share.where_it_matters is None else f" ({100 * share.where_it_matters:.0f})"
    return f"{100 * (share.overall or 0.0):.0f}{matters}"


def _draw_mistakes(mistakes: Sequence[Mistake], width: int) -> Iterator[str]:
    """Yield lines with boards beside each other, as many as have room."""
    drawn = [[*mistake.board.splitlines(), *_describe(mistake)] for mistake in mistakes]
    column = max(len(line) for lines in drawn for line in lines) + _GAP
    across = max(1, width // column)
    for start in range(0, len(drawn), across):
        for row in zip_longest(*drawn[start : start + across], fillvalue=""):
            yield "".join(cell.ljust(column) for cell in row).rstrip()


def _describe(mistake: Mistake) -> list[str]:
    right = ", ".join(map(str, mistake.right_moves))
    player = ("first", "second")[mistake.mover]
    return [
        f"{player} player to move",
        f"{mistake.move}: {mistake.result} in {mistake.plies}",
        f"right: {right} ({mistake.best_result})",
    ]
