"""Training games start after openings, or in the middle of random, earlier or lost games."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.games.game import Boards, SupportsSequences
from sb3_ext.selfplay.games.openings import play_opening_lines
from sb3_ext.selfplay.opponents.heuristics import RandomOpponent
from sb3_ext.selfplay.seats.self_play_env import SelfPlayVecEnv
from sb3_ext.selfplay.seats.start_positions import StartPositions, StartShares

MakeToy = Callable[..., Any]


def count_stones(game: Any) -> list[int]:
    return (game.cells >= 0).sum(axis=1).tolist()


def remember(starts: StartPositions, lines: list[list[int]], lost: list[bool]) -> None:
    """Play these games, one on each of the first boards."""
    for board, line in enumerate(lines):
        for move in line:
            starts.note_moves(np.array([board]), np.array([move]))
    starts.note_ends(np.arange(len(lines)), np.array(lost))


def step(env: SelfPlayVecEnv, generator: np.random.Generator) -> tuple[Any, ...]:
    legal = env.action_masks()
    return env.step((generator.random(legal.shape) * legal).argmax(axis=1))[:3]


def test_random_starts_are_of_all_phases_and_never_over(make_toy: MakeToy) -> None:
    game = make_toy(400)
    starts = StartPositions(400, (0, 0), StartShares(random=1.0))
    assert starts.has_openings
    rewards = starts.begin(game, np.arange(400), np.random.default_rng(0))
    assert not rewards.any()
    stones = np.bincount(count_stones(game), minlength=9)
    assert stones.min() > 400 / 9 / 2  # late positions, too, which few random games reach
    assert stones.max() < 2 * 400 / 9
    assert all(game.find_legal(np.array([board])).any() for board in range(400))
    for board in range(400):
        results = game.play(np.array([board]), game.find_legal(np.array([board])).argmax(axis=1))
        assert results.rewards.sum() == 0


def test_replays_start_on_the_way_of_earlier_games_and_lost_games_late(make_toy: MakeToy) -> None:
    won, lost = [4, 0, 3, 1, 5], [0, 4, 1, 2, 8, 6]
    for shares, lines, least in (
        (StartShares(replay=1.0), [won, lost], 0),
        (StartShares(lost=1.0), [lost], 3),
    ):
        game, starts = make_toy(100), StartPositions(100, (0, 0), shares)
        remember(starts, [won, lost], [False, True])
        starts.begin(game, np.arange(100), np.random.default_rng(0))
        expected = set()
        for line in lines:
            for plies in range(least, len(line)):
                copy = make_toy()
                for move in line[:plies]:
                    copy.play(np.zeros(1, int), np.array([move]))
                expected.add(copy.render(0))
        assert {game.render(board) for board in range(100)} == expected


def test_without_memory_games_start_after_openings(make_toy: MakeToy) -> None:
    game, starts = make_toy(50), StartPositions(50, (2, 2), StartShares(replay=0.5, lost=0.5))
    starts.begin(game, np.arange(50), np.random.default_rng(0))
    assert count_stones(game) == [2] * 50


def test_the_memory_is_bounded_and_keeps_the_latest(make_toy: MakeToy) -> None:
    game, starts = make_toy(30), StartPositions(30, (0, 0), StartShares(replay=1.0, memory_games=2))
    for first in range(5):
        remember(starts, [[first, 8]], [True])
        starts.restart(game, np.zeros(1, int))
    assert starts.state_dict()["latest"][:, 0].tolist() == [3, 4]
    starts.begin(game, np.arange(30), np.random.default_rng(0))
    assert {game.render(board) for board in range(30)} == {"...\n...\n...", "...\nX..\n...", "...\n.X.\n..."}


def test_an_opening_ends_before_an_illegal_move_and_starts_anew_after_the_end(make_toy: MakeToy) -> None:
    game = make_toy(3)
    lines = np.array([[0, 0, 1, -1, -1], [0, 3, 1, 4, 2], [8, 7, -1, -1, -1]], np.int16)
    rewards, played = play_opening_lines(game, np.arange(3), np.random.default_rng(0), lines, np.array([5, 5, 3]))
    assert count_stones(game) == [1, 0, 3]
    assert played[:2].tolist() == [[0, -1, -1, -1, -1], [-1] * 5]
    assert played[2, :2].tolist() == [8, 7]
    assert not rewards.any()


@pytest.mark.parametrize("num_mirrors", [0, 3])
def test_a_resumed_environment_starts_the_same_games(make_toy: MakeToy, num_mirrors: int) -> None:
    def make() -> SelfPlayVecEnv:
        shares = StartShares(random=0.2, replay=0.4, lost=0.4, memory_games=20)
        opponent = RandomOpponent(0)
        return SelfPlayVecEnv(
            make_toy(6), opponent, opening_plies=(0, 2), start_shares=shares, num_mirrors=num_mirrors, seed=0
        )

    env, generator = make(), np.random.default_rng(1)
    env.reset()
    for _ in range(60):
        step(env, generator)
    state, random_state = env.state_dict(), generator.bit_generator.state
    assert len(state["starts"]["latest"]) == 20
    assert (len(state["starts"]["lost"]) > 0) == (num_mirrors < 6)
    expected = [step(env, generator) for _ in range(30)]
    other = make()
    other.reset()
    other.load_state_dict(state)
    generator.bit_generator.state = random_state
    for found in expected:
        for one, two in zip(found, step(other, generator), strict=True):
            assert np.array_equal(one, two)


def test_remembered_games_are_those_that_were_played(make_toy: MakeToy) -> None:
    class Recording(type(make_toy())):  # type: ignore[misc]
        def play(self, boards: Boards, actions: Any) -> Any:
            results = super().play(boards, actions)
            finished.extend(self.render(int(board)) for board in np.asarray(boards)[results.ends])
            return results

        def branch(self, boards: Any) -> Any:
            return super().branch(boards)  # a plain game: its moves are not recorded

    finished: list[str] = []
    shares = StartShares(replay=0.5, memory_games=1000)
    env = SelfPlayVecEnv(Recording(5), RandomOpponent(0), start_shares=shares, seed=0)
    env.reset()
    generator = np.random.default_rng(0)
    for _ in range(40):
        legal = env.action_masks()
        env.step((generator.random(legal.shape) * legal).argmax(axis=1))
    lines = env.state_dict()["starts"]["latest"]
    played = []
    for line in lines:
        copy = make_toy()
        for move in line[line >= 0]:
            copy.play(np.zeros(1, int), np.array([move]))
        played.append(copy.render(0))
    assert len(played) > 40
    assert set(played) <= set(finished)


class StepwiseConnect4(Connect4):
    play_sequences = None


@pytest.mark.parametrize("plies", [(0, 0), (0, 4)])
def test_a_game_that_plays_sequences_starts_where_it_would_move_by_move(plies: tuple[int, int]) -> None:
    shares, found = StartShares(random=0.4, replay=0.3, lost=0.2), []
    for kind in (Connect4, StepwiseConnect4):
        game, starts = kind(300), StartPositions(300, plies, shares)
        assert isinstance(game, SupportsSequences) == (kind is Connect4)
        remember(starts, [[3, 3, 2, 4, 1], [0, 0, 1, 1, 6, 6]], [False, True])
        generator = np.random.default_rng(3)
        rewards = [starts.begin(game, np.arange(300)[::step], generator) for step in (1, 2)]
        found.append((game.state_dict(), rewards, starts.state_dict(), generator.bit_generator.state))
    np.testing.assert_equal(found[0], found[1])
    assert np.bincount(found[0][0]["plies"], minlength=41).max() < 250


@pytest.mark.parametrize("shares", [StartShares(), StartShares(random=0.5, replay=0.3, lost=0.2, memory_games=30)])
def test_a_resumed_environment_of_a_game_that_plays_sequences_starts_the_same_games(shares: StartShares) -> None:
    def make() -> SelfPlayVecEnv:
        return SelfPlayVecEnv(
            Connect4(8, 4, 5, in_a_row=3), RandomOpponent(0), opening_plies=(0, 4), start_shares=shares, seed=0
        )

    env, other = make(), make()
    generators = [np.random.default_rng(1) for _ in range(2)]
    env.reset()
    for _ in range(30):
        step(env, generators[0])
    other.reset()
    other.load_state_dict(env.state_dict())
    generators[1].bit_generator.state = generators[0].bit_generator.state
    for _ in range(40):
        for one, two in zip(step(env, generators[0]), step(other, generators[1]), strict=True):
            assert np.array_equal(one, two)


@pytest.mark.parametrize("arguments", [{"random": -0.1}, {"replay": 0.6, "lost": 0.5}, {"memory_games": 0}])
def test_impossible_shares_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        StartShares(**arguments)
