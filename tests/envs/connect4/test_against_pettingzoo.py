"""The same rules as PettingZoo's ``connect_four``: observations, masks, rewards and ends of random games."""

from __future__ import annotations

from typing import Any

import numpy as np
import pettingzoo
import pytest

from sb3_ext.selfplay.games.connect4 import Connect4

AGENTS = ("player_0", "player_1")
SEATS = np.array([0, 1])


def compare_view(game: Connect4, board: int, env: Any) -> None:
    """Observation and mask of both players."""
    views = game.observe(np.array([board, board]), SEATS)
    for seat, agent in enumerate(AGENTS):
        theirs = env.observe(agent)
        assert np.array_equal(np.moveaxis(views[seat], 0, -1), theirs["observation"])
        if agent == env.agent_selection:
            assert np.array_equal(game.find_legal(np.array([board]))[0], theirs["action_mask"])
    assert AGENTS[game.movers[board]] == env.agent_selection


@pytest.mark.parametrize("num_games", [200, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(1_800)
def test_random_games_are_the_same(num_games: int) -> None:
    num_boards, generator = 50, np.random.default_rng(num_games)
    envs = [pettingzoo.make("aec", "classic/connect_four-v3") for _ in range(num_boards)]
    endings = {1.0: 0, 0.0: 0, -1.0: 0}
    for _ in range(num_games // num_boards):
        game, boards = Connect4(num_boards), np.arange(num_boards)
        for env in envs:
            env.reset()
        while len(boards):
            for board in boards:
                compare_view(game, int(board), envs[board])
            legal = game.find_legal(boards)
            actions = (generator.random(legal.shape) * legal).argmax(axis=1)
            results = game.play(boards, actions)
            for board, action, rewards, is_over in zip(boards, actions, *results, strict=True):
                env = envs[board]
                env.step(int(action))
                assert [env.rewards[agent] for agent in AGENTS] == rewards.tolist()
                assert [env.terminations[agent] for agent in AGENTS] == [is_over, is_over]
                assert not any(env.truncations.values())
                if is_over:
                    views = game.observe(np.array([board, board]), SEATS)
                    last = [env.observe(agent)["observation"] for agent in AGENTS]
                    assert np.array_equal(np.moveaxis(views, 1, -1), last)
                    endings[float(rewards[0])] += 1
            boards = boards[~results.ends]

    assert sum(endings.values()) == num_games
    assert min(endings[1.0], endings[-1.0]) > num_games / 3
    assert num_games < 10_000 or endings[0.0] > 10
