"""
Tests that every game must pass. Inherit them to test your own game with pytest::

    class TestMyGame(GameConformance):
        def make_game(self, num_boards: int) -> Game:
            return MyGame(num_boards)
"""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext.selfplay.games.game import Game, MoveResults, SupportsSequences
from sb3_ext.selfplay.opponents.heuristics import RandomOpponent


class GameConformance(ABC):
    """
    Checks the contract of :class:`~sb3_ext.selfplay.games.game.Game` on random games.

    Set :attr:`is_zero_sum` (at every move, as mirror boards need it) and :attr:`longest_game_plies` for your game.
    """

    num_boards = 7
    is_zero_sum = True
    longest_game_plies = 500
    """Longer random games fail the test."""

    @abstractmethod
    def make_game(self, num_boards: int) -> Game:
        """
        :param num_boards: number of games played in parallel
        :return: a new game; with a fixed seed, if it has one
        """

    def test_a_new_game_has_the_first_player_to_move(self) -> None:
        game = self.make_game(self.num_boards)

        assert game.num_boards == self.num_boards
        assert game.movers.shape == (self.num_boards,)
        assert not game.movers.any()
        assert game.id
        assert isinstance(game.render(0), str)

    def test_legal_moves_are_a_mask_with_at_least_one_move(self) -> None:
        for game, boards in self._play_randomly():
            legal = game.find_legal(boards)
            assert legal.shape == (len(boards), game.action_space.n)
            assert legal.dtype == np.bool_
            assert legal.any(axis=1).all()

    def test_observations_are_of_the_space_and_new_arrays(self) -> None:
        for game, boards in self._play_randomly():
            for players in (game.movers[boards], 1 - game.movers[boards]):
                observations = game.observe(boards, players)
                assert observations.dtype == game.observation_space.dtype
                assert all(observation in game.observation_space for observation in observations)
                expected = observations.copy()
                observations[...] = game.observation_space.high
                assert np.array_equal(game.observe(boards, players), expected)

    def test_every_game_ends_with_rewards_for_both(self) -> None:
        game = self.make_game(self.num_boards)
        boards, opponent = np.arange(self.num_boards), RandomOpponent(0)
        for _ in range(self.longest_game_plies):
            results = game.play(boards, opponent.act(game, boards))
            assert isinstance(results, MoveResults)
            assert results.rewards.shape == (len(boards), 2)
            assert results.rewards.dtype == np.float32
            assert results.ends.shape == boards.shape
            assert results.ends.dtype == np.bool_
            assert not self.is_zero_sum or not results.rewards.sum(axis=1).any()
            boards = boards[~results.ends]
            if not len(boards):
                return
        raise AssertionError(
            f"{len(boards)} of {self.num_boards} games are not over after {self.longest_game_plies} moves"
        )

    def test_a_move_changes_only_the_boards_that_are_named(self) -> None:
        for game, boards in self._play_randomly():
            before = _describe(game, boards)
            chosen = np.arange(len(boards)) % 2 == 0
            copy = game.branch(boards)
            copy.play(np.flatnonzero(chosen), RandomOpponent(1).act(game, boards[chosen]))
            after = _describe(copy, np.arange(len(boards)))
            assert [a for a, is_chosen in zip(after, chosen, strict=True) if not is_chosen] == [
                b for b, is_chosen in zip(before, chosen, strict=True) if not is_chosen
            ]

    def test_the_order_of_boards_is_the_order_of_answers(self) -> None:
        for game, boards in self._play_randomly():
            actions = RandomOpponent(2).act(game, boards)
            assert np.array_equal(game.find_legal(boards[::-1]), game.find_legal(boards)[::-1])
            forward, backward = game.branch(boards), game.branch(boards[::-1])
            results = forward.play(np.arange(len(boards)), actions)
            reversed_results = backward.play(np.arange(len(boards)), actions[::-1])
            assert np.array_equal(results.rewards, reversed_results.rewards[::-1])
            assert np.array_equal(results.ends, reversed_results.ends[::-1])

    def test_branches_are_independent_and_may_repeat_a_board(self) -> None:
        for game, boards in self._play_randomly():
            before = _describe(game, boards)
            branch = game.branch(np.repeat(boards, 2))
            everywhere = np.arange(branch.num_boards)
            assert branch.num_boards == 2 * len(boards)
            assert _describe(branch, everywhere) == [position for position in before for _ in range(2)]
            branch.play(everywhere[::2], RandomOpponent(3).act(branch, everywhere[::2]))
            assert _describe(branch, everywhere[1::2]) == before
            assert _describe(game, boards) == before
            copy = game.branch(boards)
            copy.reset(np.arange(len(boards)))
            assert _describe(game, boards) == before

    def test_sequences_are_played_as_their_moves_one_by_one(self) -> None:
        if not isinstance(self.make_game(1), SupportsSequences):
            return  # is optional
        game, opponent = self.make_game(self.num_boards), RandomOpponent(9)
        boards, sequences = np.arange(self.num_boards), np.full((self.num_boards, 0), -1)
        while len(boards):
            at_once: Any = self.make_game(self.num_boards)
            at_once.play_sequences(boards, sequences[boards])
            assert _describe(at_once, boards) == _describe(game, boards)
            moves = np.full((self.num_boards, 1), -1)
            moves[boards, 0] = opponent.act(game, boards)
            sequences = np.hstack([sequences, moves])
            boards = boards[~game.play(boards, moves[boards, 0]).ends]

    def test_a_loaded_state_restores_everything(self) -> None:
        game = self.make_game(self.num_boards)
        self._begin(game)
        stored = pickle.dumps(game.state_dict())
        snapshot = game.state_dict()
        first = self._record_play(game)
        other = self.make_game(self.num_boards)
        other.load_state_dict(pickle.loads(stored))

        assert self._record_play(other) == first
        game.load_state_dict(snapshot)
        assert self._record_play(game) == first

    def test_a_reset_begins_anew_on_the_boards_that_are_named(self) -> None:
        game = self.make_game(self.num_boards)
        everywhere = np.arange(self.num_boards)
        self._begin(game)
        before = _describe(game, everywhere)
        game.reset(everywhere[:1])

        assert _describe(game, everywhere[1:]) == before[1:]
        assert game.movers[0] == 0
        assert _describe(game, everywhere[:1]) != before[:1]

    def test_a_board_that_is_over_stays_and_can_be_observed(self) -> None:
        game = self.make_game(self.num_boards)
        everywhere = np.arange(self.num_boards)
        running, opponent = everywhere, RandomOpponent(6)
        final: dict[int, NDArray[Any]] = {}
        while len(running):
            ends = game.play(running, opponent.act(game, running)).ends
            for board in running[ends]:
                final[int(board)] = game.observe(np.array([board]), np.array([0]))
            running = running[~ends]

        for board, observation in final.items():
            assert np.array_equal(game.observe(np.array([board]), np.array([0])), observation)
            assert game.render(board)
        game.reset(everywhere)
        assert not game.movers.any()
        assert game.find_legal(everywhere).any(axis=1).all()

    def _begin(self, game: Game) -> None:
        """Make two moves on every board; reset games that end."""
        everywhere, opponent = np.arange(game.num_boards), RandomOpponent(4)
        for _ in range(2):
            ends = game.play(everywhere, opponent.act(game, everywhere)).ends
            game.reset(everywhere[ends])

    def _play_randomly(self) -> Any:
        """:return: iterator over the game before every move and the boards whose games are not over"""
        game = self.make_game(self.num_boards)
        boards, opponent = np.arange(self.num_boards), RandomOpponent(7)
        while len(boards):
            yield game, boards
            boards = boards[~game.play(boards, opponent.act(game, boards)).ends]

    def _record_play(self, game: Game) -> list[Any]:
        """:return: moves, rewards and positions until all games have ended and are reset"""
        record: list[Any] = []
        boards, opponent = np.arange(game.num_boards), RandomOpponent(8)
        while len(boards):
            actions = opponent.act(game, boards)
            results = game.play(boards, actions)
            record.append((actions.tolist(), results.rewards.tolist(), _describe(game, boards[~results.ends])))
            boards = boards[~results.ends]
        game.reset(np.arange(game.num_boards))
        return [*record, _describe(game, np.arange(game.num_boards))]


def _describe(game: Game, boards: NDArray[np.intp]) -> list[tuple[int, bytes, bytes, bytes]]:
    """:return: mover, legal moves and both observations of each board"""
    first, second = np.zeros(len(boards), np.intp), np.ones(len(boards), np.intp)
    views = zip(
        game.movers[boards],
        game.find_legal(boards),
        game.observe(boards, first),
        game.observe(boards, second),
        strict=True,
    )
    return [(int(mover), legal.tobytes(), mine.tobytes(), theirs.tobytes()) for mover, legal, mine, theirs in views]
