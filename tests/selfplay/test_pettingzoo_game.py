from __future__ import annotations

import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils import EzPickle
from pettingzoo import AECEnv

from sb3_ext.errors import ConfigError, MissingExtraError, SelfPlayError
from sb3_ext.selfplay.conformance import GameConformance
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.games.game_registry import make_game
from sb3_ext.selfplay.opponents.heuristics import AlphaBetaOpponent, HeuristicOpponent, RandomOpponent
from sb3_ext.selfplay.seats.self_play_env import SelfPlayVecEnv

TICTACTOE = "pettingzoo.classic.tictactoe_v3"
CARDS = "cards_for_two"


class Cards(AECEnv, EzPickle):  # type: ignore[misc]
    """
    Chance decides who begins; each takes numbers from a shuffled hand of four, a 3 moves again; both may gain.

    The mask is in the info; ``is_masked=False`` leaves it out. The other settings are for what is no game for two.
    """

    def __init__(
        self,
        is_masked: bool = True,
        num_players: int = 2,
        is_parallel: bool = False,
        actions: Any = None,
        name: str = "cards",
    ) -> None:
        EzPickle.__init__(self, is_masked, num_players, is_parallel, actions, name)
        self.metadata = {"name": name, "is_parallelizable": is_parallel}
        self.possible_agents = ["a", "b", "c"][:num_players]
        self.render_mode = None
        self._is_masked = is_masked
        self._actions = actions or spaces.Discrete(4)

    def observation_space(self, agent: str) -> Any:
        return spaces.Box(0, 3, (4,), np.float32)

    def action_space(self, agent: str) -> Any:
        return self._actions

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        if seed is not None:
            self._generator = np.random.default_rng(seed)
        self.agents = list(self.possible_agents)
        self.hands = {agent: self._generator.permutation(4) for agent in self.agents}
        self.agent_selection = self.agents[int(self._generator.integers(len(self.agents)))]
        self._reset_accounts()

    def _reset_accounts(self) -> None:
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = {agent: self._describe(agent) for agent in self.agents}

    def _describe(self, agent: str) -> dict[str, Any]:
        return {"action_mask": (self.hands[agent] >= 0).astype(np.int8)} if self._is_masked else {}

    def step(self, action: int) -> None:
        mover = self.agent_selection
        (other,) = [agent for agent in self.agents if agent != mover]
        card = int(self.hands[mover][action])
        self.hands[mover][action] = -1
        self.infos[mover] = self._describe(mover)
        self._clear_rewards()
        self.rewards[mover], self.rewards[other] = float(card), 0.5
        self.terminations = dict.fromkeys(self.agents, not (self.hands[mover] >= 0).any())
        if card != 3:
            self.agent_selection = other

    def observe(self, agent: str) -> Any:
        return np.maximum(self.hands[agent], 0).astype(np.float32)


class Race(AECEnv, EzPickle):  # type: ignore[misc]
    """
    Each in turn takes 1 or 2 of the own five stones; who has none is out, and the other one takes the rest alone.

    :param quick: share of the games that are over in the reset
    :param limit: moves after which both are truncated
    :param pass_at: a number of own stones at which no move is legal
    """

    metadata = {"name": "race", "is_parallelizable": False}  # noqa: RUF012 (as in the base)
    possible_agents = ["a", "b"]  # noqa: RUF012
    render_mode = None

    def __init__(self, quick: float = 0.0, limit: int = 99, pass_at: int = -1) -> None:
        EzPickle.__init__(self, quick, limit, pass_at)
        self._quick, self._limit, self._pass_at = quick, limit, pass_at

    def observation_space(self, agent: str) -> Any:
        return spaces.Box(0, 5, (2,), np.float32)

    def action_space(self, agent: str) -> Any:
        return spaces.Discrete(2)

    def reset(self, seed: int | None = None, options: Any = None) -> None:
        generator = np.random.default_rng(seed)
        self.agents = list(self.possible_agents)
        self.stones, self.moves = {"a": 5, "b": 5}, 0
        self.agent_selection = "a"
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, bool(generator.random() < self._quick))
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = {agent: {} for agent in self.agents}

    def step(self, action: int | None) -> None:
        mover = self.agent_selection
        if self.terminations[mover] or self.truncations[mover]:
            self._was_dead_step(action)
            return
        other = "b" if mover == "a" else "a"
        self.moves += 1
        self.stones[mover] = max(0, self.stones[mover] - 1 - int(action))  # type: ignore[arg-type]
        self._clear_rewards()
        if self.stones[mover] == 0:
            self.terminations[mover] = True
            if other in self.agents:  # out first: lost
                self.rewards[mover], self.rewards[other] = -1.0, 1.0
        if self.moves >= self._limit:
            self.truncations = dict.fromkeys(self.agents, True)
        if other in self.agents:
            self.agent_selection = other
        self._accumulate_rewards()
        self._deads_step_first()

    def observe(self, agent: str) -> Any:
        mask = np.full(2, self.stones[agent] != self._pass_at, np.int8)
        return {"observation": np.array(list(self.stones.values()), np.float32), "action_mask": mask}


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType(CARDS)
    module.env = Cards  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, CARDS, module)
    package = ModuleType("my")
    package.cards = module  # type: ignore[attr-defined]
    race = ModuleType("my.race")
    race.env = Race  # type: ignore[attr-defined]
    package.race = race  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my.race", race)
    monkeypatch.setitem(sys.modules, "my", package)
    monkeypatch.setitem(sys.modules, "my.cards", module)


class TestTicTacToe(GameConformance):
    num_boards = 4

    def make_game(self, num_boards: int) -> Game:
        return make_game(TICTACTOE, num_boards, seed=0)


class TestConnectFour(GameConformance):
    num_boards = 3

    def make_game(self, num_boards: int) -> Game:
        return make_game("pettingzoo.classic.connect_four_v3", num_boards, seed=0)


class TestOurConnect4(GameConformance):
    num_boards = 3

    def make_game(self, num_boards: int) -> Game:
        return make_game("sb3_ext_envs.connect4.connect4_v0", num_boards, {"rows": 3, "cols": 4, "in_a_row": 3})


class TestAGameOfChance(GameConformance):
    is_zero_sum = False

    def make_game(self, num_boards: int) -> Game:
        return make_game("my.cards", num_boards, seed=5)


class TestAGameThatOnePlayerLeaves(GameConformance):
    num_boards = 3

    def make_game(self, num_boards: int) -> Game:
        return make_game("my.race", num_boards, seed=5)


def test_the_remaining_agent_continues_alone() -> None:
    game, board = make_game("my.race", 1), np.arange(1)
    movers, rewards = [], []
    for action in (1, 0, 1, 0, 1, 0, 0, 0):  # a takes 2, 2, 1 of five
        movers.append(int(game.movers[0]))
        found, [is_over] = game.play(board, np.array([action]))
        rewards.append(found[0].tolist())
        assert is_over == (len(rewards) == 8)

    assert movers == [0, 1, 0, 1, 0, 1, 1, 1]
    assert rewards == [[0, 0]] * 4 + [[-1, 1]] + [[0, 0]] * 3


def test_agents_train_where_one_player_may_leave() -> None:
    env = SelfPlayVecEnv(make_game("my.race", 4, seed=0), RandomOpponent(0), seed=0)
    env.reset()
    generator, results = np.random.default_rng(0), []
    for _ in range(60):
        _, _, dones, infos = env.step(generator.integers(0, 2, 4))
        results += [infos[board]["result"] for board in np.flatnonzero(dones)]
    assert set(results) == {-1.0, 1.0}


def test_games_that_end_in_the_reset_are_reset_again() -> None:
    game, boards = make_game("my.race", 8, {"quick": 0.7}, seed=0), np.arange(8)
    for _ in range(10):
        game.reset(boards)
        assert game.find_legal(boards).all()
        assert not game.play(boards, np.zeros(8, np.intp)).ends.any()
    with pytest.raises(SelfPlayError, match=r"my\.race: 1000 games in a row were over before a player could move"):
        make_game("my.race", 1, {"quick": 1.0})


def test_truncated_games_are_over() -> None:
    game, boards = make_game("my.race", 2, {"limit": 3}), np.arange(2)
    ends = [game.play(boards, np.zeros(2, np.intp)).ends.tolist() for _ in range(3)]
    assert ends == [[False, False], [False, False], [True, True]]


def test_a_mask_without_a_legal_move_names_the_player() -> None:
    game, boards = make_game("my.race", 1, {"pass_at": 4}), np.arange(1)
    for _ in range(2):
        game.play(boards, np.zeros(1, np.intp))
    with pytest.raises(SelfPlayError, match=r"my\.race: a has no legal move \(action_mask is 0\) although the game"):
        game.find_legal(boards)


def test_it_is_the_same_game_as_in_batches() -> None:
    params = {"rows": 4, "cols": 4, "in_a_row": 3}
    ours, theirs = Connect4(6, **params), make_game("sb3_ext_envs.connect4.connect4_v0", 6, params)
    boards = np.arange(6)
    while len(boards):
        assert np.array_equal(ours.observe(boards, ours.movers[boards]), theirs.observe(boards, theirs.movers[boards]))
        actions = AlphaBetaOpponent(2, seed=len(boards)).act(ours, boards)
        assert np.array_equal(AlphaBetaOpponent(2, seed=len(boards)).act(theirs, boards), actions)
        results, others = ours.play(boards, actions), theirs.play(boards, actions)
        assert np.array_equal(results.rewards, others.rewards)
        assert np.array_equal(results.ends, others.ends)
        boards = boards[~results.ends]


def test_the_first_mover_is_player_0() -> None:
    game, boards = make_game("my.cards", 40, seed=1), np.arange(40)
    assert not game.movers.any()
    assert {env.agent_selection for env in game._envs} == {"a", "b"}  # type: ignore[attr-defined]

    cards = game.observe(boards, game.movers)[:, 0]
    results = game.play(boards, np.zeros(40, np.intp))

    assert results.rewards.tolist() == [[card, 0.5] for card in cards]
    assert np.array_equal(game.movers, cards != 3)
    assert game.find_legal(boards)[~game.movers.astype(bool)].tolist() == [[False, True, True, True]] * sum(cards == 3)


def test_without_a_mask_everything_is_legal() -> None:
    game = make_game("my.cards", 2, {"is_masked": False}, seed=1)

    assert game.find_legal(np.arange(2)).all()
    assert game.find_legal(np.arange(0)).shape == (0, 4)


def test_the_seed_decides_the_games() -> None:
    hands = []
    for seed in (1, 1, 2):
        game = make_game("my.cards", 3, seed=seed)
        game.reset(np.array([1]))
        hands.append(game.observe(np.arange(3), np.zeros(3, np.intp)).tolist())

    assert hands[0] == hands[1]
    assert hands[0] != hands[2]
    assert hands[0][0] != hands[0][1]


def test_opponents_play_tictactoe() -> None:
    game, boards = make_game(TICTACTOE, 2), np.arange(2)
    for move in (0, 3, 1):
        game.play(boards, np.array([move, move]))

    assert HeuristicOpponent(0).act(game, boards).tolist() == [2, 2]
    assert AlphaBetaOpponent(2, 0).act(game, boards).tolist() == [2, 2]
    game.play(boards, np.array([8, 8]))
    assert AlphaBetaOpponent(1, 0).act(game, boards).tolist() == [2, 2]
    assert game.render(0).count("X") == 2


@pytest.mark.parametrize(
    ("game_id", "params", "message"),
    [
        ("pettingzoo.classic.tictactoe_v1", {}, "has no game 'pettingzoo.classic.tictactoe_v1' in which players move"),
        ("pettingzoo.classic.rps_v2", {}, "expected a turn-based game, but in 'pettingzoo.classic.rps_v2' both"),
        (TICTACTOE, {"rows": 3}, "does not take these parameters: raw_env.__init__() got an unexpected keyword"),
        (TICTACTOE, {"game_id": "chess"}, "game.params.game_id: cannot be set here; it is game.id"),
        ("os.path", {}, "expected a PettingZoo game, but the module 'os.path' has no function env"),
        ("my.dice", {}, "cannot import module 'my.dice': No module named 'my.dice'"),
        ("my.cards", {"num_players": 3}, "expected a game for two players, but 'my.cards' has 3"),
        (
            "my.cards",
            {"is_parallel": True},
            "expected a turn-based game, but in 'my.cards' both players move at the same",
        ),
        ("my.cards", {"name": "hanabi_v9"}, "two players against each other, but 'my.cards' is cooperative"),
        ("my.cards", {"actions": spaces.Box(0, 1)}, "expected the same Discrete actions, from 0, for both players"),
        ("my.cards", {"actions": spaces.Discrete(4, start=1)}, "expected the same Discrete actions, from 0"),
    ],
)
def test_unsupported_games_are_refused(game_id: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_game(game_id, 2, params)

    assert message in str(caught.value)


def test_a_game_whose_own_dependencies_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pettingzoo.classic.chess.chess", None)

    with pytest.raises(
        ConfigError,
        match=r"'pettingzoo\.classic\.chess_v6' needs a package that is not installed: .*pip install 'pettingzoo\[cl",
    ):
        make_game("pettingzoo.classic.chess_v6", 1)


def test_without_pettingzoo_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pettingzoo", None)

    with pytest.raises(MissingExtraError, match=r"'pettingzoo.classic.tictactoe_v3' needs .* 'sb3-ext\[pettingzoo\]'"):
        make_game(TICTACTOE, 1)


def test_games_and_opponents_load_neither_torch_nor_pettingzoo() -> None:
    code = (
        "import sys, sb3_ext.selfplay.games.game_registry, sb3_ext.selfplay.opponents.opponent_registry\n"
        "print(*{'torch', 'pettingzoo'} & set(sys.modules))"
    )
    assert not subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("game_id", ["pettingzoo.classic.connect_four_v3", "sb3_ext_envs.connect4.connect4_v0"])
def test_boards_of_two_planes_are_drawn_as_boards(game_id: str) -> None:
    game = make_game(game_id, 1)
    for move in (0, 0, 6):
        game.play(np.array([0]), np.array([move]))

    assert game.render(0).splitlines()[-2:] == ["O . . . . . .", "X . . . . . X"]


def test_other_observations_are_written_as_numbers() -> None:
    game, board = make_game("my.cards", 1, seed=1), np.array([0])
    assert game.render(0) == np.array2string(game.observe(board, np.array([0]))[0])
    while game.movers[0] == 0:
        game.play(board, np.array([int(game.find_legal(board)[0].argmax())]))
    assert game.render(0) == np.array2string(game.observe(board, np.array([1]))[0])  # of the player to move


def test_random_games_end() -> None:
    game, boards, opponent = make_game(TICTACTOE, 5), np.arange(5), RandomOpponent(0)
    plies = 0
    while len(boards):
        boards, plies = boards[~game.play(boards, opponent.act(game, boards)).ends], plies + 1

    assert 5 <= plies <= 9
