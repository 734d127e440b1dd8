"""Boards on which the agent plays both seats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sb3_ext.errors import SelfPlayError
from sb3_ext.selfplay import SelfPlayVecEnv, make_game, make_opponent
from sb3_ext.selfplay.games.legality import draw_legal
from sb3_ext.selfplay.seats.board_monitor import BoardMonitor

SMALL = {"rows": 4, "cols": 4, "in_a_row": 3}


def refuse(_observations: NDArray[Any], _legal: NDArray[np.bool_]) -> NDArray[Any]:
    raise AssertionError("a mirror board has no opponent")


def make_mirrors(num_boards: int = 2, **arguments: Any) -> SelfPlayVecEnv:
    return SelfPlayVecEnv(make_game("connect4", num_boards, SMALL), refuse, num_mirrors=num_boards, seed=0, **arguments)


def test_every_step_is_one_move_seen_by_the_player_to_move() -> None:
    env = make_mirrors()
    assert not env.reset().any()
    observations, rewards, dones, _ = env.step(np.array([0, 1]))
    assert not rewards.any()
    assert not dones.any()
    assert np.argwhere(observations).tolist() == [[0, 1, 3, 0], [1, 1, 3, 1]]  # the stone is the other player's now
    observations, *_ = env.step(np.array([2, 2]))
    assert np.argwhere(observations[0]).tolist() == [[0, 3, 0], [1, 3, 2]]


def test_the_winner_gets_the_reward() -> None:
    env = make_mirrors()
    env.reset()
    for moves in ([0, 0], [3, 1], [0, 0], [3, 1], [2, 2]):
        env.step(np.array(moves))
    observations, rewards, dones, infos = env.step(np.array([3, 1]))  # the second player's third in a column
    assert rewards.tolist() == [1.0, 1.0]
    assert dones.tolist() == [True, True]
    assert not observations.any()
    for info in infos:
        assert info["is_mirror"] is True
        assert info["terminal_observation"][0].sum() == 3  # seen by the winner
        assert info["terminal_observation"].sum() == 6
        assert "opponent" not in info
        assert "result" not in info


def test_other_boards_have_their_opponents_beside_them() -> None:
    met: list[int] = []

    def answer(observations: NDArray[Any], legal: NDArray[np.bool_]) -> NDArray[Any]:
        met.append(len(observations))
        return legal.argmax(axis=1)

    env = SelfPlayVecEnv(
        make_game("connect4", 6, SMALL), answer, num_mirrors=4, seed=0, opening_plies=(0, 3), start_policy="random"
    )
    env.reset()
    generator, ended = np.random.default_rng(0), {True: 0, False: 0}
    for _ in range(200):
        _, _, dones, infos = env.step(draw_legal(env.action_masks(), generator))
        for board in np.flatnonzero(dones):
            is_mirror = "is_mirror" in infos[board]
            assert is_mirror == (board < 4)
            assert is_mirror != ("result" in infos[board])
            ended[is_mirror] += 1
    assert min(ended.values()) > 20
    assert max(met) <= 2
    assert env.get_opponent_names() == {env._names[0]}
    assert make_mirrors().get_opponent_names() == set()


def test_mirror_boards_continue_exactly_from_a_snapshot() -> None:
    def play(env: SelfPlayVecEnv, steps: int) -> list[Any]:
        generator = np.random.default_rng(1)
        return [
            [part.tolist() for part in env.step(draw_legal(env.action_masks(), generator))[:3]] for _ in range(steps)
        ]

    env = SelfPlayVecEnv(
        make_game("connect4", 4, SMALL), make_opponent("random", seed=0), num_mirrors=2, seed=0, opening_plies=(0, 3)
    )
    env.reset()
    play(env, 7)
    snapshot = env.state_dict()
    expected = play(env, 30)
    other = SelfPlayVecEnv(
        make_game("connect4", 4, SMALL), make_opponent("random", seed=5), num_mirrors=2, seed=9, opening_plies=(0, 3)
    )
    other.reset()
    other.load_state_dict(snapshot)
    assert play(other, 30) == expected


def test_games_against_oneself_are_not_monitored(tmp_path: Path) -> None:
    seat = SelfPlayVecEnv(make_game("connect4", 3, SMALL), make_opponent("random", seed=0), num_mirrors=2, seed=0)
    env = BoardMonitor(seat, str(tmp_path / "0"), info_keywords=("opponent", "seat"))
    env.reset()
    generator, returns, mirrors = np.random.default_rng(0), [], 0
    for _ in range(60):
        _, _, dones, infos = env.step(draw_legal(seat.action_masks(), generator))
        for board in np.flatnonzero(dones):
            assert ("episode" in infos[board]) == (board == 2)
            mirrors += board != 2
            if board == 2:
                assert infos[board]["episode"]["r"] == infos[board]["result"]
                returns.append(float(infos[board]["episode"]["r"]))
    env.close()
    rows = (tmp_path / "0.monitor.csv").read_text().splitlines()[2:]
    assert [float(row.split(",")[0]) for row in rows] == returns
    assert len(returns) == env.episode_count > 3
    assert mirrors > 6


@pytest.mark.parametrize("num_mirrors", [-1, 3])
def test_there_are_no_more_mirrors_than_boards(num_mirrors: int) -> None:
    with pytest.raises(ValueError, match=f"from 0 to the 2 boards, but got {num_mirrors}"):
        SelfPlayVecEnv(make_game("connect4", 2, SMALL), refuse, num_mirrors=num_mirrors)


def test_a_player_who_moves_twice_is_refused() -> None:
    env = make_mirrors()
    env.reset()

    class Stuck(type(env.game)):  # type: ignore[misc]
        @property
        def movers(self) -> NDArray[np.int8]:
            return np.zeros(2, dtype=np.int8)

    env.game.__class__ = Stuck
    with pytest.raises(SelfPlayError, match="a player moves twice in a row"):
        env.step(np.array([0, 1]))
