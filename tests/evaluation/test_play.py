"""A person's game: turns, taking back, advice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import DQN

from sb3_ext.errors import SelfPlayError
from sb3_ext.evaluation.play import PersonGame
from sb3_ext.selfplay.frozen_opponent import freeze_model
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.opponents.function_opponent import FunctionOpponent
from sb3_ext.selfplay.opponents.heuristics import HeuristicOpponent
from sb3_ext.selfplay.opponents.policy_opponent import PolicyOpponent
from sb3_ext.selfplay.seats.self_play_env import SelfPlayVecEnv

BOARD = np.zeros(1, dtype=np.intp)


def take_first_column(observations: Any, legal: Any) -> Any:
    return legal.argmax(axis=1)


def start(seat: int = 0, agent: Any = None) -> PersonGame:
    return PersonGame(Connect4(1), agent or FunctionOpponent(take_first_column), seat)


def make_agent(algorithm: Any = MaskablePPO, **arguments: Any) -> PolicyOpponent:
    env = SelfPlayVecEnv(Connect4(1), HeuristicOpponent(0), illegal_move="random_legal")
    return freeze_model(algorithm("MlpPolicy", env, seed=0, device="cpu", **arguments), deterministic=True)


def test_a_person_who_stacks_four_stones_wins() -> None:
    game = start()
    for turn in range(4):
        assert game.is_persons_turn
        assert game.result is None
        game.play(6)
        assert game.last_action == 6
        if turn < 3:
            assert not game.is_persons_turn
            assert game.answer() == 0
    assert game.is_over
    assert game.result == 1
    assert game.list_legal() == []


def test_a_person_in_the_second_seat_can_lose() -> None:
    game = start(seat=1)
    assert not game.is_persons_turn
    for column in (6, 5, 6):
        game.answer()
        game.play(column)
    game.answer()
    assert game.result == -1


def test_moves_out_of_turn_or_illegal_are_refused() -> None:
    game = start()
    with pytest.raises(SelfPlayError, match="not the agent's turn"):
        game.answer()
    with pytest.raises(SelfPlayError, match="action 7 is not legal"):
        game.play(7)
    game.play(3)
    with pytest.raises(SelfPlayError, match="not your turn"):
        game.play(3)
    assert game.game.render(0).count("X") == 1


def test_taking_back_goes_to_before_the_persons_move_again_and_again() -> None:
    game = start()
    pictures = []
    for column in (6, 6, 6):
        pictures.append(game.game.render(0))
        game.play(column)
        game.answer()
    for picture in reversed(pictures):
        assert game.undo()
        assert game.game.render(0) == picture
        assert game.is_persons_turn
    assert not game.undo()
    assert game.last_action is None


def test_the_move_that_ended_the_game_can_be_taken_back() -> None:
    game = start()
    for _ in range(3):
        game.play(6)
        game.answer()
    game.play(6)
    assert game.undo()
    assert not game.is_over
    assert game.result is None
    game.play(5)
    game.answer()  # its fourth stone in column 0
    assert game.result == -1


def test_advice_is_the_policys_distribution_over_legal_moves_seen_from_the_persons_side() -> None:
    agent = make_agent()
    game = start(agent=agent)
    game.game.play(BOARD, np.array([2]))
    game.game.play(BOARD, np.array([3]))
    for _ in range(6):
        game.game.play(BOARD, np.array([0]))
    advice = game.advise()
    assert advice is not None
    assert advice.are_probabilities
    assert set(advice.values) == {1, 2, 3, 4, 5, 6}
    assert sum(advice.values.values()) == pytest.approx(1)
    assert list(advice.values.values()) == sorted(advice.values.values(), reverse=True)
    observation, _ = agent.policy.obs_to_tensor(game.game.observe(BOARD, np.array([0])))
    with torch.inference_mode():
        masks = game.game.find_legal(BOARD)
        expected = agent.policy.get_distribution(observation, action_masks=masks).distribution.probs[0]
    assert [advice.values[action] for action in range(1, 7)] == pytest.approx(expected[1:].tolist(), abs=1e-6)
    assert next(iter(advice.values)) == agent.act(game.game, BOARD)[0]


def test_advice_of_an_agent_with_action_values_is_these() -> None:
    agent = make_agent(DQN, buffer_size=10)
    game = start(agent=agent)
    advice = game.advise()
    assert advice is not None
    assert not advice.are_probabilities
    with torch.inference_mode():
        observation, _ = agent.policy.obs_to_tensor(game.game.observe(BOARD, np.array([0])))
        expected = agent.policy.q_net(observation)[0].tolist()
    assert [advice.values[action] for action in range(7)] == pytest.approx(expected)
    assert next(iter(advice.values)) == agent.act(game.game, BOARD)[0]


def test_who_has_no_opinion_gives_no_advice() -> None:
    assert start(agent=HeuristicOpponent(0)).advise() is None


def test_one_board_and_two_seats() -> None:
    with pytest.raises(ValueError, match="on one board, but got 2"):
        PersonGame(Connect4(2), HeuristicOpponent(0), 0)
    with pytest.raises(ValueError, match="seat must be 0 or 1, but got 2"):
        start(seat=2)
