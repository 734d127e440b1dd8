"""The vectorised self-play environment: the agent plays one side of each board, an opponent the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from sb3_ext.config.game_schema import IllegalMove, StartPolicy
from sb3_ext.errors import LearnerMissingError, SelfPlayError
from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.selfplay.games.legality import check_moves, draw_legal, find_illegal
from sb3_ext.selfplay.games.zero_sum import check_zero_sum
from sb3_ext.selfplay.opponents.function_opponent import FunctionOpponent
from sb3_ext.selfplay.opponents.opponent import Opponent
from sb3_ext.selfplay.opponents.policy_opponent import PolicyOpponent, choose_moves
from sb3_ext.selfplay.pool.opponent_samplers import MixedSampler, OpponentSampler
from sb3_ext.selfplay.seats.board_env import BoardVecEnv, pick_observation
from sb3_ext.selfplay.seats.move_values import ValueFunction, compute_move_values
from sb3_ext.selfplay.seats.seat_draw import SeatDraw
from sb3_ext.selfplay.seats.start_positions import StartPositions, StartShares
from sb3_ext.stateful import describe_outdated_methods

OpponentLike: TypeAlias = "OpponentSampler | Opponent | Callable[[NDArray[Any], NDArray[np.bool_]], NDArray[Any]]"


class SelfPlayVecEnv(BoardVecEnv):
    """
    The boards of a game as a ``VecEnv``. One ``step`` is the agent's move followed by the opponent's.

    Rewards and observations (including terminal ones) are from the agent's perspective: the reward of a step includes
    what the opponent's reply brings. An opponent that moves first does so in the reset; the agent's reward for that
    move is added to its first step. Seats and opponents are drawn for each board at the end of an episode. Opponents
    run in this process and choose moves for all their boards in one batch.

    A game that the opponent ends before the agent's first move is an episode of one step: the agent observes the final
    position, only action 0 is legal, and the reward is the game's result.

    The ``info`` of an episode's last step has ``opponent`` (its name), ``seat`` (the agent's: 0 moved first),
    ``result`` (the agent's return) and ``is_success`` (whether it is positive). Wrap it in ``VecMonitor`` and
    ``VecNormalize`` like any ``VecEnv``.

    On *mirror boards* the agent plays both sides, and every step is one move: observations are those of the player to
    move, rewards those of the player who moved. The value of a position is minus that of the next one, so these steps
    need a negative discount, which the buffers of :mod:`sb3_ext.algorithms.board_buffers` apply. The returns of such
    games are meaningless; their last ``info`` has ``is_mirror`` and no result.

    :param game: the game; each board is one environment
    :param opponent: an opponent, a function ``(observations, legal) -> actions``, or a sampler such as an
        ``OpponentPool``
    :param start_policy: which player moves first: ``random``, ``agent_first``, ``opponent_first``, or ``alternate``
    :param masks_in_observation: observations are a ``Dict`` of ``observation`` and ``action_mask`` (int8), for
        algorithms that do not call ``action_masks()``
    :param illegal_move: how to handle an illegal move of the agent. ``mask``: raise, for agents with action masks;
        ``lose``: end the game with reward -1; ``random_legal``: play a random legal move instead
    :param opening_plies: minimum and maximum number of random moves at the start of a game
    :param start_shares: shares of the games that start in the middle of a random, an earlier or a lost game; ``None``
        for none
    :param num_mirrors: number of mirror boards, which come first. Players must move in turn, and every move must be
        zero-sum
    :param seed: seed of seats, openings and replaced moves; ``None`` for an unseeded generator
    :raises ValueError: if ``start_policy``, ``illegal_move``, ``opening_plies`` or ``num_mirrors`` is invalid

    ``step`` raises :class:`~sb3_ext.errors.SelfPlayError` if the rewards of a game do not sum to zero.
    """

    def __init__(
        self,
        game: Game,
        opponent: OpponentLike,
        *,
        start_policy: StartPolicy = "random",
        masks_in_observation: bool = False,
        illegal_move: IllegalMove = "mask",
        opening_plies: tuple[int, int] = (0, 0),
        start_shares: StartShares | None = None,
        num_mirrors: int = 0,
        seed: int | None = None,
    ) -> None:
        if illegal_move not in get_args(IllegalMove):
            raise ValueError(f"illegal_move must be one of {', '.join(get_args(IllegalMove))}, but got {illegal_move}")
        if not 0 <= opening_plies[0] <= opening_plies[1]:
            raise ValueError(f"opening_plies must be 0 <= least <= most, but got {opening_plies}")
        count = game.num_boards
        if not 0 <= num_mirrors <= count:
            raise ValueError(f"num_mirrors must be from 0 to the {count} boards, but got {num_mirrors}")
        super().__init__(game, masks_in_observation=masks_in_observation)
        self.num_mirrors = num_mirrors
        self.sampler = _make_sampler(opponent)
        self._seat_draw = SeatDraw(start_policy, count)
        self._illegal_move = illegal_move
        self._starts = StartPositions(count, opening_plies, start_shares or StartShares())
        self._generator = np.random.default_rng(seed)
        self._seats = np.zeros(count, dtype=np.int8)
        self._returns = np.zeros(count, dtype=np.float32)
        self._totals = np.zeros((count, 2), dtype=np.float32)  # rewards of both players in the running games
        self._early = np.zeros(count, dtype=np.float32)  # the agent's rewards before its first move
        self._is_over = np.zeros(count, dtype=np.bool_)  # the opponent ended the game before the agent's first move
        self._missing: LearnerMissingError | None = None
        self._names: list[str] = []  # of all opponents so far
        self._opponents = np.zeros(count, dtype=np.intp)  # indices of these names
        self._actions = np.zeros(count, dtype=np.intp)
        #: what the lookahead found before the latest moves, shape (boards, actions); empty without lookahead
        self.move_values = np.zeros((count, 0), dtype=np.float32)
        self._compute_values: ValueFunction | None = None
        self._move_discount = 1.0

    def look_ahead_with(self, compute_values: ValueFunction | None, discount: float = 1.0) -> None:
        """
        Let each step first value all legal moves of the agent in the current positions: :attr:`move_values`, as
        :func:`~sb3_ext.selfplay.seats.move_values.compute_move_values` does.

        :param compute_values: values positions for the player to move; ``None`` to look no further ahead
        :param discount: of the value after one move
        """
        self._compute_values, self._move_discount = compute_values, discount

    def reset(self) -> VecEnvObs:
        """
        Start new games on all boards.

        :return: observations from the agent's perspective, shape (boards, ...)
        """
        if self._seeds[0] is not None:
            self._generator = np.random.default_rng(self._seeds[0])
            self.sampler.restart(self._seeds[0])
            self._starts.forget()
        self._reset_seeds()
        self._reset_options()
        self._missing = None
        try:
            self._begin(self._all, self._seat_draw.first(self._generator))
        except LearnerMissingError as error:
            # SB3 resets environments before OpponentPoolCallback attaches the model, and that callback resets again.
            self._missing = error
        self._note_change()
        observations: VecEnvObs = self._observe(self._all, self._seats)
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """
        :param actions: the agent's actions, shape (boards,)
        """
        self._actions = np.array(actions, dtype=np.intp).reshape(self.num_envs)

    def step_wait(self) -> VecEnvStepReturn:
        """
        Play the agent's moves and the opponents' replies, and start new games where one has ended.

        :return: observations, rewards and dones, shape (boards, ...), and the info of each board
        :raises SelfPlayError: if a move is illegal; names the player and the board
        """
        if self._missing is not None:
            raise self._missing
        if self._compute_values is not None:
            self.move_values = self._look_ahead(self._compute_values)
        rewards, dones = self._early.copy(), self._is_over.copy()
        self._early[:] = 0.0
        boards = self._settle_illegal(rewards, dones)
        self._play(boards, self._actions[boards], rewards, dones)
        self._turn_mirrors(boards, dones)
        self._let_opponents_move(boards, rewards, dones)
        self._returns += rewards
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if dones.any():
            self._end(np.flatnonzero(dones), infos)
        self._note_change()
        return self._observe(self._all, self._seats), rewards, dones, infos

    def _look_ahead(self, compute_values: ValueFunction) -> NDArray[np.float32]:
        running = np.flatnonzero(~self._is_over)
        values = np.full((self.num_envs, self._num_actions), -np.inf, dtype=np.float32)
        values[running] = compute_move_values(self.game, running, compute_values, self._move_discount)
        values[self._is_over, 0] = self._early[self._is_over]  # only action 0 is legal
        return values

    def get_opponent_names(self) -> set[str]:
        """:return: names of the opponents in the running games"""
        places = set(self._opponents[self.num_mirrors :].tolist())
        return {self._names[place] for place in places} if self._names else set()

    def _settle_illegal(self, rewards: NDArray[np.float32], dones: NDArray[np.bool_]) -> Boards:
        """Handle the agent's illegal moves.

        :return: the boards on which its move is legal
        """
        legal = self.action_masks()
        self._actions[dones] = 0
        illegal = find_illegal(self._actions, legal)
        if illegal.size:
            if self._illegal_move == "mask":
                check_moves("the agent", self.game, self._all, self._actions, legal)
            if self._illegal_move == "random_legal":
                self._actions[illegal] = draw_legal(legal[illegal], self._generator)
            else:
                rewards[illegal] -= 1.0
                self._totals[illegal] += np.where(np.arange(2) == self._seats[illegal, None], -1.0, 1.0)
                dones[illegal] = True
        return np.flatnonzero(~dones) if dones.any() else self._all

    def _play(
        self,
        boards: Boards,
        actions: NDArray[np.intp],
        rewards: NDArray[np.float32],
        dones: NDArray[np.bool_],
    ) -> None:
        found, ends = self.game.play(boards, actions)
        rewards[boards] += found[np.arange(len(boards)), self._seats[boards]]
        self._totals[boards] += found
        self._starts.note_moves(boards, actions)
        dones[boards] = ends
        if ends.any() or (self.num_mirrors and found.any()):
            check_zero_sum(self.game.id, self._totals[boards[ends | (boards < self.num_mirrors)]])

    def _turn_mirrors(self, boards: Boards, dones: NDArray[np.bool_]) -> None:
        """Switch the agent's side on mirror boards whose games are not over."""
        turned = boards[(boards < self.num_mirrors) & ~dones[boards]]
        if (self.game.movers[turned] == self._seats[turned]).any():
            raise SelfPlayError(f"{self.game.id}: a player moves twice in a row, which mirror boards do not support")
        self._seats[turned] = self.game.movers[turned]

    def _let_opponents_move(self, boards: Boards, rewards: NDArray[np.float32], dones: NDArray[np.bool_]) -> None:
        """Let the opponents move until it is the agent's turn or the game is over."""
        while True:
            boards = boards[~dones[boards] & (self.game.movers[boards] != self._seats[boards])]
            if not boards.size:
                return
            self._play(boards, self._ask_opponents(boards), rewards, dones)

    def _ask_opponents(self, boards: Boards) -> NDArray[np.intp]:
        legal = self.game.find_legal(boards)
        opponents = self._opponents[boards]
        places = [opponents[0]] if (opponents == opponents[0]).all() else np.unique(opponents)
        actions = np.empty(len(boards), dtype=np.intp)
        policies: list[tuple[PolicyOpponent, NDArray[np.intp]]] = []
        for place in places:
            opponent = self.sampler.find(self._names[place])
            rows = np.arange(len(boards)) if len(places) == 1 else np.flatnonzero(opponents == place)
            if isinstance(opponent, PolicyOpponent):
                policies.append((opponent, rows))
                continue
            found = np.asarray(opponent.act(self.game, boards[rows]))
            check_moves(f"opponent '{opponent.name}'", self.game, boards[rows], found, legal[rows])
            actions[rows] = found
        if policies:
            rows = np.concatenate([rows for _, rows in policies])
            observations = self.game.observe(boards[rows], self.game.movers[boards[rows]])
            sizes = [len(rows) for _, rows in policies]
            actions[rows] = choose_moves([policy for policy, _ in policies], observations, legal[rows], sizes)
        return actions

    def _end(self, boards: Boards, infos: list[dict[str, Any]]) -> None:
        observations = self._observe(boards, self._seats[boards], is_over=True)
        for index, board in enumerate(boards.tolist()):
            infos[board] = {
                "terminal_observation": pick_observation(observations, index),
                "TimeLimit.truncated": False,
                **({"is_mirror": True} if board < self.num_mirrors else self._describe_result(board)),
            }
        rated = boards[boards >= self.num_mirrors]
        self._starts.note_ends(boards, (boards >= self.num_mirrors) & (self._returns[boards] < 0))
        self.sampler.record([self._names[place] for place in self._opponents[rated]], self._returns[rated])
        self._begin(boards, self._seat_draw.next(self._seats[boards], self._generator))

    def _describe_result(self, board: int) -> dict[str, Any]:
        return {
            "opponent": self._names[self._opponents[board]],
            "seat": int(self._seats[board]),
            "result": float(self._returns[board]),
            "is_success": bool(self._returns[board] > 0),
        }

    def _begin(self, boards: Boards, seats: NDArray[np.int8]) -> None:
        """Draw opponents, reset boards, and let opponents move that move first."""
        self._seats[boards] = seats
        self._returns[boards] = 0.0
        self._totals[boards] = 0.0
        rated, mirrors = boards[boards >= self.num_mirrors], boards[boards < self.num_mirrors]
        self._opponents[rated] = [self._find_place(name) for name in self.sampler.draw(len(rated))]
        self._totals[boards] = self._starts.begin(self.game, boards, self._generator)
        self._seats[mirrors] = self.game.movers[mirrors]
        self._let_opponents_begin(boards)
        if self._starts.has_openings:
            # If the opponent won after the opening before the agent's first move, restart that game without an opening.
            boards = boards[self._is_over[boards]]
            self._starts.restart(self.game, boards)
            self._totals[boards] = 0.0
            self._let_opponents_begin(boards)

    def _let_opponents_begin(self, boards: Boards) -> None:
        rewards, dones = np.zeros(self.num_envs, dtype=np.float32), np.zeros(self.num_envs, dtype=np.bool_)
        self._let_opponents_move(boards, rewards, dones)
        self._is_over[boards] = dones[boards]
        self._early[boards] = np.where(boards < self.num_mirrors, 0.0, self._totals[boards, self._seats[boards]])

    def _find_legal(self) -> NDArray[np.bool_]:
        if not self._is_over.any():
            return super()._find_legal()
        legal = np.zeros((self.num_envs, self._num_actions), dtype=np.bool_)
        legal[self._is_over, 0] = True
        running = np.flatnonzero(~self._is_over)
        legal[running] = self.game.find_legal(running)
        return legal

    def _find_place(self, name: str) -> int:
        if name not in self._names:
            self._names.append(name)
        return self._names.index(name)

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {
            "game": self.game.state_dict(),
            "seats": self._seats.copy(),
            "returns": self._returns.copy(),
            "totals": self._totals.copy(),
            "early": self._early.copy(),
            "is_over": self._is_over.copy(),
            "opponents": self._opponents.copy(),
            "names": list(self._names),
            "generator": self._generator.bit_generator.state,
            "starts": self._starts.state_dict(),
            "sampler": self.sampler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        self.game.load_state_dict(state["game"])
        self._seats = state["seats"].copy()
        self._returns = state["returns"].copy()
        # States of 0.1.0 lack these: games that ended before the agent's first move did not exist there.
        self._totals = state.get("totals", np.zeros_like(self._totals)).copy()
        self._early = state.get("early", np.zeros_like(self._early)).copy()
        self._is_over = state.get("is_over", np.zeros_like(self._is_over)).copy()
        self._missing = None
        self._opponents = state["opponents"].copy()
        self._names = list(state["names"])
        self._generator.bit_generator.state = state["generator"]
        if "starts" in state:  # earlier versions had none
            self._starts.load_state_dict(state["starts"])
        self.sampler.load_state_dict(state["sampler"])
        self._note_change()


def _make_sampler(opponent: OpponentLike) -> OpponentSampler:
    if isinstance(opponent, OpponentSampler):
        return opponent
    outdated = describe_outdated_methods(type(opponent), "get_state", "set_state")
    if outdated is not None:
        raise SelfPlayError(outdated)
    chosen: Opponent = opponent if isinstance(opponent, Opponent) else FunctionOpponent(opponent)
    return MixedSampler([(chosen, 1.0)])
