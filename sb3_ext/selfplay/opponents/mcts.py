"""Monte-Carlo tree search by OpenSpiel as an opponent."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext.errors import MissingExtraError, SelfPlayError
from sb3_ext.selfplay.games.game import Boards, Game

_EXPLORATION = 2.0  # c of UCT; OpenSpiel's own default
_MEMORY_MB = 64
_SEEDS = 2**31


class MctsOpponent:
    """
    UCT with random rollouts, for Connect4 and PettingZoo's tic-tac-toe.

    :param rollouts: number of rollouts for each move
    :param seed: seed of the rollouts
    :param name: shown in tables and pictures; default: ``mcts_<rollouts>``
    :raises MissingExtraError: if OpenSpiel is not installed
    :raises ValueError: if ``rollouts`` is not positive
    """

    def __init__(
        self, rollouts: int = 100, seed: int | np.random.SeedSequence | None = None, name: str | None = None
    ) -> None:
        try:
            self._spiel: Any = import_module("pyspiel")
        except ImportError as error:
            raise MissingExtraError("MCTS", "league", "its packages need Python 3.11 or later") from error
        if rollouts < 1:
            raise ValueError(f"rollouts must be positive, but got {rollouts}")
        self.name = name or f"mcts_{rollouts}"
        self.rollouts = rollouts
        self._generator = np.random.default_rng(seed)
        self._games: dict[str, Any] = {}

    def act(self, game: Game, boards: Boards) -> NDArray[np.intp]:
        name = find_openspiel_name(game)
        if name is None:
            raise SelfPlayError(
                f"{self.name}: OpenSpiel's rules are known for connect4 and tictactoe, not for {game.id}"
            )
        if name not in self._games:
            self._games[name] = self._spiel.load_game(name)
        rules = self._games[name]
        bot = self._make_bot(rules)
        positions = describe_positions(game, boards)
        actions = [bot.step(rules.new_initial_state(json.dumps(position))) for position in positions]
        return np.array(actions, dtype=np.intp)

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return dict(self._generator.bit_generator.state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        self._generator.bit_generator.state = state

    def _make_bot(self, rules: Any) -> Any:
        """Make a new bot for every call: the random state of an OpenSpiel bot cannot be read."""
        seeds = self._generator.integers(_SEEDS, size=2).tolist()
        evaluator = self._spiel.RandomRolloutEvaluator(1, seeds[0])
        return self._spiel.MCTSBot(
            rules, evaluator, _EXPLORATION, self.rollouts, _MEMORY_MB, solve=True, seed=seeds[1], verbose=False
        )


def find_openspiel_name(game: Game) -> str | None:
    """
    :param game: any game
    :return: OpenSpiel's name of the game, with its size; ``None`` if OpenSpiel does not have it
    """
    if game.id == "connect4":
        _, rows, cols = game.observation_space.shape
        return f"connect_four(rows={rows},columns={cols},x_in_row={game.rules.layout.in_a_row})"  # type: ignore[attr-defined]
    return "tic_tac_toe" if "tictactoe" in game.id else None


def describe_positions(game: Game, boards: Boards) -> list[dict[str, Any]]:
    """
    :param game: a game for which :func:`find_openspiel_name` returns a name
    :param boards: boards whose games are not over
    :return: OpenSpiel's JSON description of each position
    """
    movers = game.movers[boards]
    is_connect4 = game.id == "connect4"
    planes = game.observe(boards, np.zeros(len(boards), dtype=np.int8)) != 0
    first, second = (planes[:, 0], planes[:, 1]) if is_connect4 else (planes[..., 0], planes[..., 1])
    cells = np.where(first, "x", np.where(second, "o", "."))
    positions = []
    for board, mover in zip(cells, movers, strict=True):
        # OpenSpiel's first row is the lowest; its tic-tac-toe is a list of cells, row by row.
        content: dict[str, Any] = {"board": (board[::-1] if is_connect4 else board.ravel()).tolist()}
        content["current_player"] = "xo"[mover]
        positions.append({**content, "is_terminal": False, "winner": ""} if is_connect4 else content)
    return positions
