"""Playing by keys, which come through a pipe here."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from sb3_ext.cli.board import draw_advice, draw_board
from sb3_ext.cli.human import play_games
from sb3_ext.errors import SelfPlayError
from sb3_ext.evaluation.play import MoveAdvice, MoveTruth, PersonGame
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.games.game import MoveResults
from sb3_ext.selfplay.opponents.function_opponent import FunctionOpponent


def take_first_column(observations: Any, legal: Any) -> Any:
    return legal.argmax(axis=1)


def play(monkeypatch: pytest.MonkeyPatch, keys: str, *, seat: int = 0, cols: int = 7) -> tuple[dict[str, int], str]:
    monkeypatch.setattr("sys.stdin", io.StringIO(keys))
    output = io.StringIO()
    tally = play_games(
        lambda: PersonGame(Connect4(1, 6, cols), FunctionOpponent(take_first_column, "the agent"), seat),
        Console(file=output, width=80),
    )
    return tally, output.getvalue()


def test_a_game_is_won_by_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    tally, output = play(monkeypatch, "7777q")
    assert tally == {"won": 1, "drawn": 0, "lost": 0}
    assert "you have won" in output
    assert output.count("╭") == 5  # a board before each key
    assert output.endswith("games: 1 won, 0 drawn, 0 lost\n")


def test_the_agent_begins_where_the_person_is_second(monkeypatch: pytest.MonkeyPatch) -> None:
    tally, output = play(monkeypatch, "765n7q", seat=1)
    assert tally == {"won": 0, "drawn": 0, "lost": 1}
    first_board = output[: output.index("╰")]
    assert "│ ● · · · · · · │" in first_board
    assert "you have lost" in output
    assert "○ you" in first_board


def test_a_move_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    tally, output = play(monkeypatch, "u777u7 7q")
    assert tally["won"] == 1
    assert "there is nothing to take back" in output


def test_a_won_game_that_is_taken_back_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    tally, _ = play(monkeypatch, "7777uq")
    assert tally == {"won": 0, "drawn": 0, "lost": 0}


def test_the_end_of_the_pipe_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert play(monkeypatch, "77")[0] == {"won": 0, "drawn": 0, "lost": 0}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("8q", "8 is not possible here; 1, 2, 3, 4, 5, 6, 7 are"),
        ("0q", "0 is not possible here"),
        ("[q", "unknown key '['"),
        ("nq", "unknown key 'n'"),
        ("\x1bq", "unknown key"),
        ("²q", "unknown key '²'"),
        ("hq", "hint: the result with perfect play\n   4  win in 41\n   3  draw\n"),
    ],
)
def test_keys_that_do_nothing_say_so(monkeypatch: pytest.MonkeyPatch, keys: str, message: str) -> None:
    assert message in play(monkeypatch, keys)[1]


def test_after_the_end_no_stone_can_be_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    tally, output = play(monkeypatch, "77771q")
    assert tally["won"] == 1
    assert "unknown key '1'" in output


def test_wide_boards_take_numbers_by_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    tally, output = play(monkeypatch, "11\n12\n\n11\n11\n11\nq\n", cols=11)
    assert tally["won"] == 1
    assert "12 is not possible here" in output
    assert "│  1  2  3  4  5  6  7  8  9 10 11 │" in output


def test_the_board_shows_stones_and_the_latest_stands_out() -> None:
    game = PersonGame(Connect4(1, 2, 3, 2), FunctionOpponent(take_first_column, "it"), 0)
    game.play(2)
    game.answer()
    output = io.StringIO()
    Console(file=output, width=40, force_terminal=True, color_system="standard").print(draw_board(game))
    assert "\x1b[1;7;33m○" in output.getvalue()
    plain = io.StringIO()
    Console(file=plain, width=40).print(draw_board(game))
    assert plain.getvalue().splitlines() == [
        "● you   ○ it",
        "╭───────╮",
        "│ · · · │",
        "│ ○ · ● │",
        "│ 1 2 3 │",
        "╰───────╯",
    ]


def test_another_game_is_drawn_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nameless(Connect4):
        id = "my_game"

    monkeypatch.setattr("sys.stdin", io.StringIO("1q"))
    output = io.StringIO()
    agent = FunctionOpponent(take_first_column, "it")
    play_games(lambda: PersonGame(Nameless(1, 2, 3, 3), agent, 1), Console(file=output, width=40))
    lines = output.getvalue().splitlines()
    assert lines[0] == "it began"
    assert lines[2:5] == ["│ . . . │", "│ X . . │", "│ 0 1 2 │"]
    assert lines[6].startswith("1 2 3 make a move")
    assert "2 3 make a move" in output.getvalue()


def test_a_game_that_the_agent_ends_at_once_counts_and_another_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    class WonAtOnce(Connect4):
        def play(self, boards: Any, actions: Any) -> MoveResults:
            won_by = self.movers[boards][:, None] == np.arange(2)
            super().play(boards, actions)
            return MoveResults(np.where(won_by, 1, -1).astype(np.float32), np.ones(len(boards), dtype=np.bool_))

    monkeypatch.setattr("sys.stdin", io.StringIO("1unnq"))
    output = io.StringIO()
    agent = FunctionOpponent(take_first_column, "it")
    tally = play_games(lambda: PersonGame(WonAtOnce(1, 2, 3, 2), agent, 1), Console(file=output, width=60))
    assert tally == {"won": 0, "drawn": 0, "lost": 3}
    assert "there is nothing to take back" in output.getvalue()


def test_a_cooperative_game_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class BothWin(Connect4):
        def play(self, boards: Any, actions: Any) -> MoveResults:
            return MoveResults(np.ones((len(boards), 2), dtype=np.float32), super().play(boards, actions).ends)

    monkeypatch.setattr("sys.stdin", io.StringIO("12"))
    game = PersonGame(BothWin(1, 2, 2, 2), FunctionOpponent(take_first_column), 0)
    with pytest.raises(SelfPlayError, match="expected a zero-sum game"):
        play_games(lambda: game, Console(file=io.StringIO()))


def test_advice_is_a_bar_a_move() -> None:
    assert draw_advice(MoveAdvice({3: 0.75, 0: 0.25}, True), 80).splitlines() == [
        "hint: how likely the agent would play it",
        "   4    75.0%  ██████████████████████",
        "   1    25.0%  ████████",
    ]
    assert draw_advice(MoveAdvice({3: 0.5, 0: -0.25}, False), 30).splitlines() == [
        "hint: the return that the agent expects",
        "   4   +0.500  ██████████",
        "   1   -0.250",
    ]
    assert "+0.000  ██" in draw_advice(MoveAdvice({3: 0.0}, False), 30)


def test_advice_has_results_with_perfect_play_where_they_are_known() -> None:
    truth = {3: MoveTruth(-1, 8), 0: MoveTruth(1, 13), 2: MoveTruth(0, 20), 1: MoveTruth(-1, 2), 4: MoveTruth(1, 3)}
    assert draw_advice(MoveAdvice({3: 0.75, 0: 0.25}, True), 80, truth).splitlines() == [
        "hint: how likely the agent would play it, and the result with perfect play",
        "   4    75.0%  loss in 8   ██████████████████████",
        "   1    25.0%  win in 13   ████████",
    ]
    assert draw_advice(None, 80, truth).splitlines() == [
        "hint: the result with perfect play",
        "   5  win in 3",
        "   1  win in 13",
        "   3  draw",
        "   4  loss in 8",
        "   2  loss in 2",
    ]
    assert draw_advice(None, 80) == "this agent has no hints to give"
