from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from sb3_ext.errors import SelfPlayError
from sb3_ext.selfplay.frozen_opponent import freeze_model
from sb3_ext.selfplay.opponents.opponent_registry import make_opponent
from sb3_ext.selfplay.pool.opponent_samplers import MixedSampler
from sb3_ext.selfplay.seats.self_play_env import SelfPlayVecEnv
from sb3_ext.selfplay.seats.start_positions import StartShares
from sb3_ext.vec.snapshots.vec_snapshots import get_vec_snapshot, set_vec_snapshot

# Moves of the player that begins and of the other, in turn, and what the first is left with.
WIN_OF_FIRST = ([0, 1, 2], [3, 4], 1.0)
WIN_OF_SECOND = ([0, 1, 8], [3, 4, 5], -1.0)
DRAW = ([0, 2, 3, 7, 8], [1, 4, 5, 6], 0.0)
WIN_ON_FULL_BOARD = ([0, 1, 5, 6, 2], [3, 4, 7, 8], 1.0)


@pytest.mark.parametrize("line", [WIN_OF_FIRST, WIN_OF_SECOND, DRAW, WIN_ON_FULL_BOARD])
@pytest.mark.parametrize("seat", [0, 1])
def test_every_ending_is_credited_to_the_agent_s_last_move(
    line: tuple[list[int], list[int], float], seat: int, make_toy: Any, make_script: Any
) -> None:
    first, second, result_of_first = line
    own, other = (first, second) if seat == 0 else (second, first)
    result = result_of_first if seat == 0 else -result_of_first
    # After the game the opponent may have to begin the next one.
    env = SelfPlayVecEnv(
        make_toy(), make_script([*other, 0]), start_policy="agent_first" if seat == 0 else "opponent_first"
    )
    env.reset()
    for place, move in enumerate(own):
        _, [reward], [done], [info] = env.step(np.array([move]))
        last = place == len(own) - 1
        assert (reward, done) == ((result, True) if last else (0.0, False))
    assert (info["result"], info["seat"], info["opponent"]) == (result, seat, "script")
    assert info["is_success"] == (result > 0)


@pytest.mark.parametrize("seat", [0, 1])
def test_terminal_observations_are_of_the_finished_game_from_the_agent_s_side(
    seat: int, make_toy: Any, make_script: Any
) -> None:
    first, second, _ = WIN_OF_SECOND
    own, other = (first, second) if seat == 0 else (second, first)
    env = SelfPlayVecEnv(
        make_toy(), make_script([*other, 0]), start_policy="agent_first" if seat == 0 else "opponent_first"
    )
    env.reset()
    for move in own:
        observations, _, _, [info] = env.step(np.array([move]))
    terminal = info["terminal_observation"]
    assert sorted(np.flatnonzero(terminal[:9])) == sorted(own)
    assert sorted(np.flatnonzero(terminal[9:])) == sorted(other)
    assert observations.sum() == seat  # a new game, in which an opponent that begins has moved


def test_an_opponent_that_starts_moves_inside_the_reset(make_toy: Any, make_player: Any) -> None:
    env = SelfPlayVecEnv(make_toy(3), make_player(), start_policy="opponent_first")
    observations = env.reset()
    assert (observations[:, :9].sum(axis=1) == 0).all()
    assert (observations[:, 9:].sum(axis=1) == 1).all()


@pytest.mark.parametrize("start_policy", ["agent_first", "opponent_first"])
def test_a_rule_may_give_two_moves_in_a_row(start_policy: Any, make_toy: Any, make_player: Any) -> None:
    env = SelfPlayVecEnv(make_toy(2, moves_a_turn=2), make_player(), start_policy=start_policy)
    game, seat = env.game, 0 if start_policy == "agent_first" else 1
    env.reset()
    for _ in range(30):
        assert (game.movers == seat).all()
        env.step((np.random.default_rng(0).random((2, 9)) * env.action_masks()).argmax(axis=1))


def test_seats_and_opponents_change_only_at_the_end_of_an_episode(make_toy: Any, make_player: Any) -> None:
    players = [(make_player(name), 1.0) for name in ("a", "b", "c")]
    env = SelfPlayVecEnv(make_toy(16), MixedSampler(players, seed=0), seed=0)
    env.reset()
    generator = np.random.default_rng(0)
    met = set()
    for _ in range(60):
        before = env._seats.copy(), env._opponents.copy()
        actions = (generator.random((16, 9)) * env.action_masks()).argmax(axis=1)
        _, _, dones, infos = env.step(actions)
        assert (env._seats == before[0])[~dones].all()
        assert (env._opponents == before[1])[~dones].all()
        for board in np.flatnonzero(dones):
            met.add((infos[board]["seat"], infos[board]["opponent"]))
            assert infos[board]["seat"] == before[0][board]
            assert infos[board]["opponent"] == env._names[before[1][board]]
    assert met == {(seat, name) for seat in (0, 1) for name in "abc"}


def test_boards_with_the_same_opponent_are_answered_together(make_toy: Any, make_player: Any) -> None:
    a, b = make_player("a"), make_player("b")
    env = SelfPlayVecEnv(make_toy(16), MixedSampler([(a, 1.0), (b, 1.0)], seed=0), start_policy="agent_first", seed=0)
    env.reset()
    env.step(np.zeros(16, dtype=int))
    assert (len(a.calls), len(b.calls)) == (1, 1)
    assert sorted(a.calls[0] + b.calls[0]) == list(range(16))


def test_policies_choose_from_shared_observations_what_they_choose_alone(make_toy: Any) -> None:
    class Alone:
        """Hides that the opponent is a policy."""

        def __init__(self, opponent: Any) -> None:
            self.name, self.act = opponent.name, opponent.act
            self.state_dict, self.load_state_dict = opponent.state_dict, opponent.load_state_dict

    def make_env(wrap: Any) -> SelfPlayVecEnv:
        models = [A2C("MlpPolicy", make_seat_env(make_toy), device="cpu", seed=seed) for seed in (0, 1)]
        policies = [freeze_model(model, name=f"policy {seed}", seed=seed) for seed, model in enumerate(models)]
        opponents = [*map(wrap, policies), make_opponent("heuristic", seed=3)]
        return SelfPlayVecEnv(make_toy(24), MixedSampler([(found, 1.0) for found in opponents], seed=4), seed=5)

    together, alone = make_env(lambda opponent: opponent), make_env(Alone)
    assert (together.reset() == alone.reset()).all()
    for _ in range(20):
        actions = together.action_masks().argmax(axis=1)
        found, expected = together.step(actions), alone.step(actions)
        assert all((one == other).all() for one, other in zip(found[:3], expected[:3], strict=True))
    assert together.get_opponent_names() == {"policy 0", "policy 1", "heuristic"}


def make_seat_env(make_toy: Any) -> SelfPlayVecEnv:
    return SelfPlayVecEnv(make_toy(2), make_opponent("random"), illegal_move="random_legal")


def test_alternating_seats_are_half_and_half(make_toy: Any, make_player: Any) -> None:
    env = SelfPlayVecEnv(make_toy(6), make_player(), start_policy="alternate")
    env.reset()
    assert env._seats.tolist() == [0, 1, 0, 1, 0, 1]
    seats: list[list[int]] = [[] for _ in range(6)]
    for _ in range(40):
        _, _, dones, infos = env.step(env.action_masks().argmax(axis=1))
        for board in np.flatnonzero(dones):
            seats[board].append(infos[board]["seat"])
    assert all(played == [(board + place) % 2 for place in range(len(played))] for board, played in enumerate(seats))


def test_random_openings(make_toy: Any, make_player: Any) -> None:
    env = SelfPlayVecEnv(make_toy(200), make_player(), start_policy="alternate", opening_plies=(1, 2), seed=0)
    env.reset()
    stones = (env.game.cells >= 0).sum(axis=1)
    assert (env.game.movers == env._seats).all()
    assert set(stones[env._seats == 0]) == {2}  # of 1 opening move and an answer, or of 2
    assert set(stones[env._seats == 1]) == {1, 3}
    assert len(np.unique(env.game.cells, axis=0)) > 50


def test_masks_are_asked_through_env_method(make_toy: Any, make_player: Any) -> None:
    env = VecMonitor(SelfPlayVecEnv(make_toy(4), make_player(), start_policy="opponent_first"))
    env.reset()
    assert is_masking_supported(env)
    masks = get_action_masks(env)
    assert masks.shape == (4, 9)
    assert (masks == (env.unwrapped.game.cells < 0)).all()
    [row] = env.env_method("action_masks", indices=2)
    assert (row == masks[2]).all()
    with pytest.raises(AttributeError, match="no method fly"):
        env.env_method("fly")
    assert not env.has_attr("fly")


def test_masks_within_the_observation(make_toy: Any, make_player: Any) -> None:
    env = SelfPlayVecEnv(make_toy(8), make_player(), masks_in_observation=True, seed=0)
    observations = env.reset()
    assert env.observation_space.contains({key: values[0] for key, values in observations.items()})
    for _ in range(20):
        observations, _, dones, infos = env.step(observations["action_mask"].argmax(axis=1))
        assert (observations["action_mask"] == (env.game.cells < 0)).all()
        for board in np.flatnonzero(dones):
            terminal = infos[board]["terminal_observation"]
            assert env.observation_space.contains(terminal)
            assert terminal["action_mask"].sum() == 0


def test_an_illegal_move_of_the_agent_is_an_error_that_names_it(make_toy: Any, make_player: Any) -> None:
    env = SelfPlayVecEnv(make_toy(2), make_player(), start_policy="opponent_first")
    env.reset()
    taken = int(np.flatnonzero(env.game.cells[1] >= 0)[0])
    free = int(env.action_masks()[0].argmax())
    with pytest.raises(SelfPlayError, match=f"the agent chose action {taken} on board 1 of toy"):
        env.step(np.array([free, taken]))


def test_an_illegal_move_may_lose(make_toy: Any, make_player: Any) -> None:
    env = SelfPlayVecEnv(make_toy(2), make_player(), start_policy="agent_first", illegal_move="lose")
    env.reset()
    observations, *_ = env.step(np.array([4, 4]))
    before = observations[1]
    _, rewards, dones, infos = env.step(np.array([int(env.action_masks()[0].argmax()), 4]))
    assert rewards.tolist() == [0.0, -1.0]
    assert dones.tolist() == [False, True]
    assert infos[1]["result"] == -1.0
    assert (infos[1]["terminal_observation"] == before).all()


def test_an_illegal_move_may_be_replaced(make_toy: Any, make_player: Any) -> None:
    env = SelfPlayVecEnv(make_toy(50), make_player(), start_policy="agent_first", illegal_move="random_legal", seed=0)
    env.reset()
    actions = np.full(50, 4)
    env.step(actions)
    _, rewards, dones, _ = env.step(actions)
    assert not dones.any()
    assert not rewards.any()
    assert ((env.game.cells == 0).sum(axis=1) == 2).all()
    assert (actions == 4).all()  # the caller's own
    assert len(np.unique(env.game.cells, axis=0)) > 10


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda observations, legal: legal.argmin(axis=1), "opponent 'bad' chose action 4 on board 0 of toy, where"),
        (lambda observations, legal: np.full(len(legal), 9), "chose action 9 on board 0"),
        (lambda observations, legal: np.full(len(legal), -1), "chose action -1 on board 0"),
        (lambda observations, legal: 3, r"int64 actions of shape \(\), expected integers of shape \(2,\)"),
        (lambda observations, legal: np.zeros(2), "float64 actions"),
    ],
)
def test_an_illegal_move_of_an_opponent_is_named_with_the_board(answer: Any, message: str, make_toy: Any) -> None:
    answer.__name__ = "bad"
    env = SelfPlayVecEnv(make_toy(2), answer, start_policy="agent_first")
    env.reset()
    with pytest.raises(SelfPlayError, match=message) as caught:
        env.step(np.array([4, 4]))
    if "where" in message:
        assert "...\n.X.\n..." in str(caught.value)


def test_any_function_is_an_opponent(make_toy: Any) -> None:
    seen = []

    def first_free(observations: Any, legal: Any) -> Any:
        seen.append((observations, legal))
        return legal.argmax(axis=1)

    env = SelfPlayVecEnv(make_toy(2), first_free, start_policy="agent_first")
    env.reset()
    env.step(np.array([4, 5]))
    assert env.game.cells[:, 0].tolist() == [1, 1]
    [(observations, legal)] = seen
    assert np.flatnonzero(observations[0][9:]).tolist() == [4]  # from the opponent's side
    assert np.flatnonzero(~legal[1]).tolist() == [5]


def test_play_continues_exactly_from_a_snapshot(make_toy: Any, make_player: Any) -> None:
    def make() -> Any:
        players = [(make_player("a", 1), 2.0), (make_player("b", 2), 1.0)]
        env = SelfPlayVecEnv(make_toy(8), MixedSampler(players, seed=3), opening_plies=(0, 3), seed=4)
        return VecMonitor(env)

    def walk(env: Any, steps: int) -> Any:
        return [env.step(get_action_masks(env).argmax(axis=1))[:3] for _ in range(steps)]

    env, other = make(), make()
    env.reset()
    walk(env, 25)
    snapshot = get_vec_snapshot(env)
    expected = walk(env, 40)
    set_vec_snapshot(other, snapshot)
    for found, wanted in zip(walk(other, 40), expected, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert pickle.loads(snapshot) is not None


def test_the_same_seed_plays_the_same_games(make_toy: Any, make_player: Any) -> None:
    shares = StartShares(random=0.1, replay=0.2, lost=0.2)
    env = SelfPlayVecEnv(make_toy(8), make_player(), start_shares=shares)
    courses = []
    for _ in range(2):
        env.seed(5)
        observations = [env.reset()] + [env.step(env.action_masks().argmax(axis=1))[0] for _ in range(20)]
        courses.append(np.array(observations))
    assert (courses[0] == courses[1]).all()
    env.seed(6)
    assert (env.reset() != courses[0][0]).any()


def test_the_random_states_of_the_process_are_left_alone(make_toy: Any, make_player: Any) -> None:
    np.random.seed(0)
    before = np.random.get_state(legacy=False)["state"]["key"].copy()
    env = SelfPlayVecEnv(make_toy(4), make_player(), opening_plies=(0, 2))
    env.reset()
    env.step(env.action_masks().argmax(axis=1))
    assert (np.random.get_state(legacy=False)["state"]["key"] == before).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start_policy": "me"}, "start_policy must be one of random, agent_first, opponent_first, alternate"),
        ({"illegal_move": "shrug"}, "illegal_move must be one of mask, lose, random_legal"),
        ({"opening_plies": (3, 1)}, "opening_plies must be"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str, make_toy: Any, make_player: Any) -> None:
    with pytest.raises(ValueError, match=message):
        SelfPlayVecEnv(make_toy(), make_player(), **arguments)


@pytest.mark.parametrize("masks_in_observation", [False, True])
@pytest.mark.parametrize("illegal_move", ["mask", "lose", "random_legal"])
def test_a_game_that_ends_before_the_agent_moves_is_an_episode_of_one_step(
    masks_in_observation: bool, illegal_move: Any, make_folding: Any, make_script: Any
) -> None:
    env = SelfPlayVecEnv(
        make_folding(),
        make_script([0, 1, 0, 1]),  # folds at once, twice
        start_policy="opponent_first",
        masks_in_observation=masks_in_observation,
        illegal_move=illegal_move,
    )
    observations = env.reset()
    assert env.action_masks().tolist() == [[True, False]]
    if masks_in_observation:
        assert observations["action_mask"].tolist() == [[1, 0]]
    for action in (0, 1):  # neither is made, and neither is illegal
        _, [reward], [done], [info] = env.step(np.array([action]))
        assert (reward, done) == (1.0, True)
        assert (info["result"], info["seat"], info["is_success"]) == (1.0, 1, True)
        assert env.action_masks().tolist() == [[True, True]]
        if action == 0:  # between them, a game that the agent loses
            _, [reward], [done], [info] = env.step(np.array([0]))
            assert (reward, done, info["result"]) == (-1.0, True, -1.0)


def test_games_without_a_move_of_the_agent_count_like_others(make_folding: Any, make_player: Any) -> None:
    env = VecMonitor(SelfPlayVecEnv(make_folding(64), make_player(), start_policy="opponent_first", seed=0))
    env.reset()
    results, lengths = [], []
    for _ in range(60):
        _, _, dones, infos = env.step(np.ones(64, dtype=int))
        for board in np.flatnonzero(dones):
            results.append(infos[board]["result"])
            lengths.append(infos[board]["episode"]["l"])
            assert infos[board]["episode"]["r"] == infos[board]["result"]
    # The opponent folds at each of its two moves with probability one half.
    assert np.mean(np.array(results) > 0) == pytest.approx(0.75, abs=0.03)
    assert np.mean(np.array(lengths) == 1) == pytest.approx(0.75, abs=0.03)  # half at once, a quarter after one move


def test_games_without_a_move_of_the_agent_beside_mirror_boards(make_folding: Any, make_player: Any) -> None:
    env = SelfPlayVecEnv(make_folding(4), make_player(), num_mirrors=2, start_policy="opponent_first", seed=0)
    env.reset()
    generator = np.random.default_rng(0)
    ended = {True: 0, False: 0}
    for _ in range(100):
        assert not env._is_over[:2].any()
        is_over = env._is_over.copy()
        _, rewards, dones, infos = env.step(generator.integers(0, 2, 4))
        assert dones[is_over].all()
        assert (rewards[is_over] == 1.0).all()
        for board in np.flatnonzero(dones):
            ended["is_mirror" in infos[board]] += 1
    assert min(ended.values()) > 50


def test_a_snapshot_holds_a_game_that_is_over_before_the_agent_moves(make_folding: Any, make_script: Any) -> None:
    env, other = (
        SelfPlayVecEnv(make_folding(), make_script([0, 1, 1, 1]), start_policy="opponent_first") for _ in range(2)
    )
    env.reset()
    set_vec_snapshot(other, get_vec_snapshot(env))
    for _ in range(3):
        expected, found = env.step(np.array([1])), other.step(np.array([1]))
        assert [np.asarray(part).tolist() for part in found[:3]] == [np.asarray(p).tolist() for p in expected[:3]]


@pytest.mark.parametrize("opening_plies", [(0, 0), (0, 1), (1, 3)])
@pytest.mark.parametrize("start_policy", ["agent_first", "opponent_first"])
def test_rewards_in_the_middle_of_a_game_are_part_of_its_result(
    opening_plies: tuple[int, int], start_policy: Any, make_folding: Any, make_player: Any
) -> None:
    game = make_folding(32, stake=0.5)
    env = VecMonitor(
        SelfPlayVecEnv(game, make_player(), start_policy=start_policy, opening_plies=opening_plies, seed=0)
    )
    env.reset()
    found = set()
    for _ in range(60):
        _, _, dones, infos = env.step(np.random.default_rng(0).integers(0, 2, 32))
        for board in np.flatnonzero(dones):
            assert infos[board]["episode"]["r"] == infos[board]["result"]
            found.add(infos[board]["result"])
    # Whoever folds has lost 1 and what was paid: nothing, once (by the other), or more.
    assert found <= {0.0, *(sign * (1 + paid) for sign in (-1, 1) for paid in (0.0, 0.5, 1.0, 1.5))}
    assert len(found) >= 4


@pytest.mark.parametrize("num_mirrors", [0, 2])
def test_a_game_whose_rewards_do_not_sum_to_zero_is_refused(
    num_mirrors: int, make_folding: Any, make_player: Any
) -> None:
    env = SelfPlayVecEnv(make_folding(2, bonus=5.0), make_player(), num_mirrors=num_mirrors, start_policy="agent_first")
    env.reset()
    with pytest.raises(SelfPlayError, match="the players of a game got 4 and 6"):
        env.step(np.zeros(2, dtype=int))


def test_mirror_boards_need_rewards_that_sum_to_zero_at_every_move(make_folding: Any, make_player: Any) -> None:
    env = SelfPlayVecEnv(make_folding(1, stake=0.5), make_player(), num_mirrors=1)
    env.reset()
    with pytest.raises(SelfPlayError, match=r"got -0\.5 and 0"):
        env.step(np.ones(1, dtype=int))


def test_an_illegal_move_that_loses_leaves_the_sum_at_zero(make_toy: Any, make_player: Any) -> None:
    env = SelfPlayVecEnv(make_toy(4), make_player(), illegal_move="lose", num_mirrors=2, seed=0)
    env.reset()
    for _ in range(50):
        env.step(np.full(4, 4))


@pytest.mark.parametrize("algorithm", [MaskablePPO, PPO, DQN])
def test_algorithms_train_on_a_game_that_may_end_at_once(algorithm: Any, make_folding: Any, make_player: Any) -> None:
    arguments = {"masks_in_observation": True} if algorithm is DQN else {}
    env = VecMonitor(SelfPlayVecEnv(make_folding(4), make_player(), illegal_move="random_legal", seed=0, **arguments))
    more: Any = {"learning_starts": 8} if algorithm is DQN else {"n_steps": 8, "batch_size": 16, "n_epochs": 1}
    policy = "MultiInputPolicy" if algorithm is DQN else "MlpPolicy"
    model = algorithm(policy, env, policy_kwargs={"net_arch": [4]}, device="cpu", seed=0, **more)
    model.learn(128)
    assert len(model.ep_info_buffer) > 50


@pytest.mark.parametrize(
    ("algorithm", "policy", "arguments"),
    [
        (MaskablePPO, "MlpPolicy", {}),
        (PPO, "MlpPolicy", {"illegal_move": "random_legal"}),
        (DQN, "MultiInputPolicy", {"illegal_move": "lose", "masks_in_observation": True}),
    ],
)
def test_stock_algorithms_train(
    algorithm: Any, policy: str, arguments: dict[str, Any], make_toy: Any, make_player: Any
) -> None:
    env = VecNormalize(VecMonitor(SelfPlayVecEnv(make_toy(4), make_player(), **arguments)))
    more = {"learning_starts": 8} if algorithm is DQN else {"n_steps": 8, "batch_size": 16, "n_epochs": 1}
    model = algorithm(policy, env, policy_kwargs={"net_arch": [4]}, device="cpu", seed=0, **more)
    model.learn(64)
    assert model.num_timesteps == 64
    assert len(model.ep_info_buffer) > 0
