"""The board between a person and an agent, as coloured text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType
    from rich.text import Text

    from sb3_ext.evaluation.play import MoveAdvice, MoveTruth, PersonGame

CONNECT4 = "connect4"
_STYLES = ("bold red", "bold yellow")
_STONES, _HOLE = "●○", "·"
_MOST_BAR_WIDTH = 30
_TRUTH_WIDTH = len("loss in 42  ")


def draw_board(game: PersonGame) -> RenderableType:
    """
    :param game: any; of a game other than Connect4, what its ``render`` gives
    :return: for rich; the latest stone of Connect4 stands out
    """
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    if game.game.id == CONNECT4:
        you, other = (Text(f"{_STONES[seat]} ", _STYLES[seat]) for seat in (game.seat, 1 - game.seat))
        legend = Text.assemble(you, "you", "   ", other, game.agent.name)
        board = _draw_columns(game)
    else:  # whose pieces look how is for the game to know
        legend = Text(f"you began, against {game.agent.name}" if game.seat == 0 else f"{game.agent.name} began")
        board = Text(game.game.render(0))
    return Group(legend, Panel.fit(board, padding=(0, 1), border_style="blue"))


def draw_advice(advice: MoveAdvice | None, width: int, truth: Mapping[int, MoveTruth] | None = None) -> str:
    """
    :param advice: of the agent
    :param width: of the terminal, in characters
    :param truth: results of the moves with perfect play; ``None`` if they are not known
    :return: a line for each move, the best first
    """
    if advice is None:
        if not truth:
            return "this agent has no hints to give"
        ranked = sorted(truth, key=lambda action: (-truth[action].value, truth[action].value * truth[action].plies))
        results = (f"  {action + 1:>2}  {_name_truth(truth[action])}" for action in ranked)
        return "\n".join(["hint: the result with perfect play", *results])
    title = "how likely the agent would play it" if advice.are_probabilities else "the return that the agent expects"
    most = max(1, min(_MOST_BAR_WIDTH, width - 20 - (_TRUTH_WIDTH if truth else 0)))
    low, high = min(advice.values.values()), max(advice.values.values())
    lines = [f"hint: {title}" + (", and the result with perfect play" if truth else "")]
    for action, value in advice.values.items():
        share = value if advice.are_probabilities else (value - low) / (high - low) if high > low else 1.0
        text = f"{value:7.1%}" if advice.are_probabilities else f"{value:+7.3f}"
        bar = "█" * round(share * most)
        found = f"{_name_truth(truth[action]):<{_TRUTH_WIDTH}}" if truth else ""
        lines.append(f"  {action + 1:>2}  {text}  {found}{bar}".rstrip())
    return "\n".join(lines)


def _name_truth(truth: MoveTruth) -> str:
    name = {1: "win", 0: "draw", -1: "loss"}[truth.value]
    return f"{name} in {truth.plies}" if truth.value else name


def _draw_columns(game: PersonGame) -> Text:
    from rich.text import Text

    planes = game.game.observe(np.zeros(1, dtype=np.intp), np.zeros(1, dtype=np.int8))[0] != 0
    _, rows, cols = planes.shape
    width = len(str(cols))
    newest = _find_top(planes, game.last_action)
    text = Text()
    for row in range(rows):
        for col in range(cols):
            owner = next((seat for seat in (0, 1) if planes[seat, row, col]), None)
            style = "dim" if owner is None else _STYLES[owner] + (" reverse" if (row, col) == newest else "")
            text.append(" " * (width if col else width - 1))
            text.append(_HOLE if owner is None else _STONES[owner], style)
        text.append("\n")
    return text.append(" ".join(str(col + 1).rjust(width) for col in range(cols)), "dim")


def _find_top(planes: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], col: int | None) -> tuple[int, int] | None:
    """:return: row and column of the highest stone in a column"""
    if col is None:
        return None
    return int(np.argmax(planes[:, :, col].any(axis=0))), col
