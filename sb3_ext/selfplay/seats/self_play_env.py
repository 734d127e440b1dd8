"""A ``VecEnv`` in which the agent has one seat at each board, and an opponent the other."""

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
from sb3_ext.selfplay.games.openings import play_random_openings
from sb3_ext.selfplay.games.zero_sum import check_zero_sum
from sb3_ext.selfplay.opponents.function_opponent import FunctionOpponent
from sb3_ext.selfplay.opponents.opponent import Opponent
from sb3_ext.selfplay.pool.opponent_samplers import MixedSampler, OpponentSampler
from sb3_ext.selfplay.seats.board_env import BoardVecEnv, pick_observation
from sb3_ext.selfplay.seats.seat_draw import SeatDraw

OpponentLike: TypeAlias = "OpponentSampler | Opponent | Callable[[NDArray[Any], NDArray[np.bool_]], NDArray[Any]]"


class SelfPlayVecEnv(BoardVecEnv):
    """
    Boards of a game, as many environments. One ``step`` is the agent's move and then the opponent's.

    The reward of a step is the agent's own: if the opponent's move ends the game, what that brings is the reward of the
    agent's last move. Observations, the terminal ones too, are from the agent's side. An opponent that moves first does
    so within the reset; what that brings is part of the agent's first reward. Seats and opponents are drawn for each
    board at the end of an episode, never within one. Opponents answer in this process, those of the same name for all
    their boards at once.

    A game that the opponent ends before the agent could move is an episode of one step: the agent sees the final
    position, of its actions only 0 is legal, and whichever it takes, the reward is the game's result. So every game
    counts, for whatever counts episodes.

    The ``info`` of an episode's last step has ``opponent`` (its name), ``seat`` (the agent's: 0 moved first),
    ``result`` (the agent's return; +1, 0 or -1 in a game of win and loss) and ``is_success`` (it is positive).
    ``VecMonitor`` and ``VecNormalize`` go around this, as around any ``VecEnv``.

    On *mirror boards* the agent plays both seats, and every step is one move: observations are those of the player to
    move, rewards those of the player who has moved. What a player can expect is then minus what the next one can: such
    a step has a negative discount, which the buffers of :mod:`sb3_ext.algorithms.board_buffers` give it. Returns mean
    nothing there; the last ``info`` of such a game has ``is_mirror`` and no result.

    :param game: its boards are the environments
    :param opponent: one for all episodes, a function of observations and legal moves
        (``FunctionOpponent``), or a sampler such as an ``OpponentPool``
    :param start_policy: who moves first: ``random``, ``agent_first``, ``opponent_first``, or ``alternate``: on half of
        the boards the agent, and then in turn
    :param masks_in_observation: observations are a ``Dict`` of ``observation`` and ``action_mask`` (what is legal,
        int8), for algorithms that do not ask ``action_masks()``
    :param illegal_move: what becomes of one by the agent. ``mask``: it is an error, for agents that mask; ``lose``:
        it ends the game with a reward of -1; ``random_legal``: a random legal one is made instead
    :param opening_plies: the least and the most random legal moves with which a game begins
    :param num_mirrors: on how many of the boards, the first ones, the agent plays both seats. That is for games in
        which the players move in turn and the gain of one is the loss of the other
    :param seed: of seats, openings and replaced moves; ``None`` for fresh random numbers
    :raises ValueError: if ``start_policy``, ``illegal_move``, ``opening_plies`` or ``num_mirrors`` is none of these

    A step raises :class:`~sb3_ext.errors.SelfPlayError` when a game ends whose rewards do not sum to zero.
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
        self._opening_plies = opening_plies
        self._generator = np.random.default_rng(seed)
        self._seats = np.zeros(count, dtype=np.int8)
        self._returns = np.zeros(count, dtype=np.float32)
        self._totals = np.zeros((count, 2), dtype=np.float32)  # of both players, in the games so far
        self._early = np.zeros(count, dtype=np.float32)  # what the agent got before its first move
        self._is_over = np.zeros(count, dtype=np.bool_)  # where it cannot move: the opponent has ended the game
        self._missing: LearnerMissingError | None = None
        self._names: list[str] = []  # of all opponents so far, in the order in which they were met
        self._opponents = np.zeros(count, dtype=np.intp)  # places in it
        self._actions = np.zeros(count, dtype=np.intp)

    def reset(self) -> VecEnvObs:
        """
        Begin new games on all boards.

        :return: observations of the agents' sides, shape (boards, ...)
        """
        if self._seeds[0] is not None:
            self._generator = np.random.default_rng(self._seeds[0])
            self.sampler.restart(self._seeds[0])
        self._reset_seeds()
        self._reset_options()
        self._missing = None
        try:
            self._begin(self._all, self._seat_draw.first(self._generator))
        except LearnerMissingError as error:
            # SB3 resets environments before it initialises the callback that brings the learner, and resets again.
            self._missing = error
        self._note_change()
        observations: VecEnvObs = self._observe(self._all, self._seats)
        return observations

    def step_async(self, actions: NDArray[Any]) -> None:
        """
        :param actions: the agent's, one a board
        """
        self._actions = np.array(actions, dtype=np.intp).reshape(self.num_envs)

    def step_wait(self) -> VecEnvStepReturn:
        """
        Make the agent's moves, the opponents' answers, and begin new games where one has ended.

        :return: observations, rewards and ends, shape (boards, ...), and an info a board
        :raises SelfPlayError: if somebody's move is illegal: whose, and on which board
        """
        if self._missing is not None:
            raise self._missing
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

    def find_opponents(self) -> set[str]:
        """:return: the names of those who sit opposite now"""
        places = set(self._opponents[self.num_mirrors :].tolist())
        return {self._names[place] for place in places} if self._names else set()

    def _settle_illegal(self, rewards: NDArray[np.float32], dones: NDArray[np.bool_]) -> Boards:
        """Deal with the agent's illegal moves; what comes back are the boards on which there is a legal one."""
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
        dones[boards] = ends
        if ends.any() or (self.num_mirrors and found.any()):
            check_zero_sum(self.game.id, self._totals[boards[ends | (boards < self.num_mirrors)]])

    def _turn_mirrors(self, boards: Boards, dones: NDArray[np.bool_]) -> None:
        """On mirror boards whose games go on, the agent takes the other seat."""
        turned = boards[(boards < self.num_mirrors) & ~dones[boards]]
        if (self.game.movers[turned] == self._seats[turned]).any():
            raise SelfPlayError(f"{self.game.id}: a player moves twice in a row, which mirror boards cannot have")
        self._seats[turned] = self.game.movers[turned]

    def _let_opponents_move(self, boards: Boards, rewards: NDArray[np.float32], dones: NDArray[np.bool_]) -> None:
        """Until it is the agent's turn on each of these boards, or the game is over: a rule may give two moves."""
        while True:
            boards = boards[~dones[boards] & (self.game.movers[boards] != self._seats[boards])]
            if not boards.size:
                return
            self._play(boards, self._ask_opponents(boards), rewards, dones)

    def _ask_opponents(self, boards: Boards) -> NDArray[np.intp]:
        opponents = self._opponents[boards]
        if (opponents == opponents[0]).all():
            return self._ask(opponents[0], boards)
        actions = np.empty(len(boards), dtype=np.intp)
        for place in np.unique(opponents):
            chosen = opponents == place
            actions[chosen] = self._ask(place, boards[chosen])
        return actions

    def _ask(self, place: int, boards: Boards) -> NDArray[np.intp]:
        opponent = self.sampler.find(self._names[place])
        actions = np.asarray(opponent.act(self.game, boards))
        check_moves(f"opponent '{opponent.name}'", self.game, boards, actions, self.game.find_legal(boards))
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
        """Draw who plays, reset, and let the opponents move that are to move first."""
        self._seats[boards] = seats
        self._returns[boards] = 0.0
        self._totals[boards] = 0.0
        rated, mirrors = boards[boards >= self.num_mirrors], boards[boards < self.num_mirrors]
        self._opponents[rated] = [self._find_place(name) for name in self.sampler.draw(len(rated))]
        self.game.reset(boards)
        if self._opening_plies[1] > 0:
            self._totals[boards] = play_random_openings(self.game, boards, self._generator, *self._opening_plies)
        self._seats[mirrors] = self.game.movers[mirrors]
        self._let_opponents_begin(boards)
        if self._opening_plies[1] > 0:
            # The opponent may have won from an opening before the agent could move: then that game begins without it.
            boards = boards[self._is_over[boards]]
            self.game.reset(boards)
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

    def get_snapshot(self) -> dict[str, Any]:
        """:return: everything that the next steps depend on; picklable"""
        return {
            "game": self.game.get_snapshot(),
            "seats": self._seats.copy(),
            "returns": self._returns.copy(),
            "totals": self._totals.copy(),
            "early": self._early.copy(),
            "is_over": self._is_over.copy(),
            "opponents": self._opponents.copy(),
            "names": list(self._names),
            "generator": self._generator.bit_generator.state,
            "sampler": self.sampler.get_state(),
        }

    def set_snapshot(self, snapshot: dict[str, Any]) -> None:
        """
        :param snapshot: from :meth:`get_snapshot`
        """
        self.game.set_snapshot(snapshot["game"])
        self._seats = snapshot["seats"].copy()
        self._returns = snapshot["returns"].copy()
        # Snapshots of 0.1.0 lack them: none of their games was over before the agent could move.
        self._totals = snapshot.get("totals", np.zeros_like(self._totals)).copy()
        self._early = snapshot.get("early", np.zeros_like(self._early)).copy()
        self._is_over = snapshot.get("is_over", np.zeros_like(self._is_over)).copy()
        self._missing = None
        self._opponents = snapshot["opponents"].copy()
        self._names = list(snapshot["names"])
        self._generator.bit_generator.state = snapshot["generator"]
        self.sampler.set_state(snapshot["sampler"])
        self._note_change()


def _make_sampler(opponent: OpponentLike) -> OpponentSampler:
    if isinstance(opponent, OpponentSampler):
        return opponent
    chosen: Opponent = opponent if isinstance(opponent, Opponent) else FunctionOpponent(opponent)
    return MixedSampler([(chosen, 1.0)])
