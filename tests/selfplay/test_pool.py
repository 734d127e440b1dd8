from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sb3_contrib import MaskablePPO
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from sb3_ext.callbacks import OpponentPoolCallback, RunCheckpointCallback
from sb3_ext.errors import ConfigError, Sb3ExtError, SelfPlayError
from sb3_ext.selfplay.pool.pool import OpponentPool
from sb3_ext.selfplay.seats.self_play_env import SelfPlayVecEnv

# Exploration that does not depend on the total number of steps: a run in parts is given two.
EXPLORATION = {"exploration_initial_eps": 0.2, "exploration_final_eps": 0.2}
DQN_PARAMS = {"learning_starts": 8, "buffer_size": 100, "train_freq": 4, **EXPLORATION}
QUICK = {"start_episode": 0, "save_every": 10, "max_frozen_agents": 3}


class Training:
    """
    A model, its boards, its pool and its checkpoints, made as in a script.

    :param folder: of pool and checkpoints
    :param make_toy: makes the game
    :param make_player: makes the heuristic
    """

    def __init__(
        self, folder: Path, make_toy: Any, make_player: Any, algorithm: Any = MaskablePPO, **settings: Any
    ) -> None:
        game, dqn = make_toy(4), algorithm is DQN
        self.is_nested = False
        self.pool = OpponentPool(
            folder / "opponents", game, [(make_player("easy"), 1.0)], seed=1, **{**QUICK, **settings}
        )
        arguments = {"masks_in_observation": True, "illegal_move": "random_legal"} if dqn else {}
        self.seat = SelfPlayVecEnv(game, self.pool, seed=2, **arguments)
        more: Any = DQN_PARAMS if dqn else {"n_steps": 8, "n_epochs": 1}
        self.model = algorithm(
            "MultiInputPolicy" if dqn else "MlpPolicy",
            VecMonitor(self.seat),
            batch_size=16,
            policy_kwargs={"net_arch": [8]},
            device="cpu",
            seed=3,
            **more,
        )
        self.checkpoints = RunCheckpointCallback(folder / "checkpoints", interval=96, keep_last=None)

    def learn(self, total: int) -> None:
        steps = self.checkpoints.resume_if_possible(self.model, total)
        callbacks = [OpponentPoolCallback(), CallbackList([self.checkpoints]) if self.is_nested else self.checkpoints]
        self.model.learn(steps, callback=callbacks, reset_num_timesteps=False)
        self.checkpoints.close()


@pytest.fixture
def make_training(make_toy: Any, make_player: Any, tmp_path: Path) -> Any:
    return lambda name="run", **arguments: Training(tmp_path / name, make_toy, make_player, **arguments)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_grows_and_evicts_while_training(make_training: Any, tmp_path: Path) -> None:
    training = make_training()
    training.learn(600)
    pool = training.pool
    assert pool.episodes > 100
    assert len(pool.members) == 3
    assert pool.members == sorted(pool.members)
    assert {"easy", "self", *pool.members[:2]} <= set(pool.results)
    assert sum(results.games for results in pool.results.values()) == pool.episodes
    scores = pool.compute_recent_scores()
    assert {"easy", "self", "past"} == set(scores)
    assert all(0 <= score <= 1 for score in scores.values())
    description = json.loads((tmp_path / "run" / "opponents" / pool.members[-1] / "snapshot.json").read_text())
    assert description["game"]["id"] == "toy"
    assert description["model"]["policy"] == "MlpPolicy"


def test_a_snapshot_s_weights_never_change(make_training: Any, tmp_path: Path) -> None:
    training = make_training(max_frozen_agents=100)
    training.learn(200)
    files = {path: digest(path) for path in (tmp_path / "run" / "opponents").rglob("*.safetensors")}
    policies = training.pool._policies._loaded
    in_memory = {name: {k: v.clone() for k, v in found.policy.state_dict().items()} for name, found in policies.items()}
    assert len(files) > 2
    assert in_memory
    training.model.learn(400, callback=OpponentPoolCallback())
    assert all(digest(path) == before for path, before in files.items())
    for name, weights in in_memory.items():
        assert all((training.pool.find(name).policy.state_dict()[key] == value).all() for key, value in weights.items())


def test_the_agent_against_its_own_copy_scores_one_half(make_toy: Any, make_player: Any, tmp_path: Path) -> None:
    game = make_toy(64)
    pool = OpponentPool(tmp_path, game, [], seed=0, start_episode=0, current_self_fraction=1.0, past_self_fraction=0.0)
    env = SelfPlayVecEnv(game, pool, seed=0)
    pool.attach(model := MaskablePPO("MlpPolicy", env, policy_kwargs={"net_arch": [8]}, seed=0, device="cpu"))
    observations, returns = env.reset(), []
    while len(returns) < 3000:
        actions, _ = model.predict(observations, action_masks=env.action_masks())
        observations, rewards, dones, _ = env.step(actions)
        returns += rewards[dones].tolist()
    assert np.mean(returns) == pytest.approx(0.0, abs=0.06)
    assert pool.results["self"].games == len(returns)


def test_fractions_and_the_start_episode(make_training: Any) -> None:
    training = make_training(start_episode=50, current_self_fraction=0.25, past_self_fraction=0.5)
    pool = training.pool
    assert set(pool.draw(200)) == {"easy"}
    pool.attach(training.model)
    assert set(pool.draw(200)) == {"easy"}
    pool.record(["easy"] * 50, np.zeros(50, dtype=np.float32))
    assert set(pool.draw(200)) == {"easy", "self"}
    pool.add(training.model)
    met = Counter(pool.draw(4000))
    assert {name: count / 4000 for name, count in met.items()} == pytest.approx(
        {"easy": 0.25, "self": 0.25, "episode_000000050": 0.5}, abs=0.03
    )


@pytest.mark.parametrize("algorithm", [MaskablePPO, DQN])
@pytest.mark.parametrize("settings", [{}, {"sampling": "prioritized", "eviction": "reservoir", "max_in_memory": 1}])
def test_a_resume_is_exact(algorithm: Any, settings: dict[str, Any], make_training: Any, tmp_path: Path) -> None:
    whole = make_training("whole", algorithm=algorithm, **settings)
    whole.learn(576)
    parts = make_training("parts", algorithm=algorithm, **settings)
    parts.learn(288)
    # What a process that was killed later would have left.
    late = tmp_path / "parts" / "opponents" / "episode_000099999"
    late.mkdir()
    parts = make_training("parts", algorithm=algorithm, **settings)
    parts.learn(576)
    assert not late.exists()
    assert_same_weights(whole.model, parts.model)
    assert parts.pool.state_dict() == whole.pool.state_dict()
    assert read_files(tmp_path / "parts" / "opponents") == read_files(tmp_path / "whole" / "opponents")
    assert len(whole.pool.members) == 3


def test_a_resume_from_an_older_checkpoint_finds_whom_it_had_met(make_training: Any, tmp_path: Path) -> None:
    whole = make_training()
    whole.learn(576)
    expected = whole.pool.state_dict()
    weights = whole.model.policy.state_dict()
    older = whole.checkpoints.store.list_bundles()[3]
    again = make_training()
    again.checkpoints.resume_from(older, again.model)
    again.model.learn(
        576 - again.model.num_timesteps,
        callback=[OpponentPoolCallback(), again.checkpoints],
        reset_num_timesteps=False,
    )
    again.checkpoints.close()
    assert again.pool.state_dict() == expected
    assert all((again.model.policy.state_dict()[name] == value).all() for name, value in weights.items())


@pytest.mark.parametrize("is_nested", [False, True])
def test_evicted_files_go_when_no_checkpoint_needs_them(is_nested: bool, make_training: Any, tmp_path: Path) -> None:
    training = make_training()
    training.is_nested = is_nested
    training.learn(576)
    opponents = tmp_path / "run" / "opponents"
    kept = {path.name for path in opponents.iterdir()}
    assert len(kept) > len(training.pool.members)  # every checkpoint was kept
    for bundle in training.checkpoints.store.list_bundles()[1:]:
        training.checkpoints.store._remove(bundle.path)
    training.pool.note_games(set(), training.model.num_timesteps)
    training.pool.remove_unneeded([training.model.num_timesteps])
    assert {path.name for path in opponents.iterdir()} == set(training.pool.members)


def test_without_checkpoints_evicted_files_go_with_their_games(make_training: Any, tmp_path: Path) -> None:
    training = make_training()
    training.model.learn(576, callback=OpponentPoolCallback())
    left = {path.name for path in (tmp_path / "run" / "opponents").iterdir()}
    assert set(training.pool.members) <= left
    assert len(left) <= 3 + 4  # in the pool, or on one of the boards


def test_a_damaged_snapshot_is_left_out_and_said(
    make_training: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    training = make_training()
    training.learn(288)
    first, second, *_ = training.pool.members
    (tmp_path / "run" / "opponents" / first / "weights.safetensors").write_bytes(b"damaged")
    (tmp_path / "run" / "opponents" / second / "snapshot.json").unlink()
    again = make_training()
    with caplog.at_level(logging.WARNING):
        again.learn(384)
    assert first not in again.pool.members
    assert second not in again.pool.members
    said = [record.message for record in caplog.records if "it is removed from the pool" in record.message]
    assert len(said) == 2
    assert first in said[0]
    assert "a sha256 does not match" in said[0]


def test_one_that_is_damaged_in_mid_game_is_replaced(
    make_training: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    training = make_training()
    training.pool.attach(training.model)
    training.pool.add(training.model)
    [name] = training.pool.members
    (tmp_path / "run" / "opponents" / name / "weights.safetensors").write_bytes(b"damaged")
    assert training.pool.find(name).name == "self"
    assert training.pool.find(name).name == "self"
    assert len([record for record in caplog.records if "plays in its place" in record.message]) == 1


def test_a_snapshot_of_another_game_is_an_error(
    make_training: Any, make_toy: Any, make_player: Any, tmp_path: Path
) -> None:
    training = make_training()
    training.pool.add(training.model)
    record = training.pool.get_record()
    other = make_toy(4)
    other.id = "chess"
    pool = OpponentPool(tmp_path / "run" / "opponents", other, [(make_player("easy"), 1.0)], seed=1)
    with pytest.raises(SelfPlayError, match=r"plays toy .*not chess"):
        pool.load_record(record)


def test_statistics_of_observations_come_along(make_toy: Any, make_player: Any, tmp_path: Path) -> None:
    game = make_toy(4)
    pool = OpponentPool(tmp_path, game, [(make_player("easy"), 1.0)], seed=1, **QUICK)
    env = VecNormalize(VecMonitor(SelfPlayVecEnv(game, pool, seed=2)))
    model = MaskablePPO(
        "MlpPolicy", env, n_steps=8, batch_size=16, policy_kwargs={"net_arch": [8]}, device="cpu", seed=3
    )
    model.learn(200, callback=OpponentPoolCallback())
    raw = game.observe(np.arange(4), game.movers)
    live = pool.find("self")._normalize(raw)  # type: ignore[attr-defined]
    assert (live == env.normalize_obs(raw)).all()
    past = pool.find(pool.members[0])._normalize(raw)  # type: ignore[attr-defined]
    assert (past != live).any()


def test_a_callback_without_a_pool(make_toy: Any, make_player: Any) -> None:
    model = MaskablePPO("MlpPolicy", SelfPlayVecEnv(make_toy(), make_player()), n_steps=8, batch_size=8, device="cpu")
    with pytest.raises(Sb3ExtError, match="found MixedSampler"):
        model.learn(8, callback=OpponentPoolCallback())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": None}, "needs a seed"),
        ({"current_self_fraction": 1.5}, "current_self_fraction: expected a number from 0 to 1, found 1.5"),
        ({"past_self_fraction": -0.1}, "past_self_fraction: expected a number from 0 to 1, found -0.1"),
        ({"current_self_fraction": 0.6, "past_self_fraction": 0.6}, r"expected at most 1, found 0\.6 \+ 0\.6"),
        ({"current_self_fraction": 1}, r"expected at most 1, found 1 \+ 0\.3$"),
        ({"max_frozen_agents": 0}, "max_frozen_agents: expected a positive integer, found 0"),
        ({"max_frozen_agents": 2.5}, "max_frozen_agents: expected a positive integer, found 2.5"),
        ({"save_every": 1.5}, "save_every: expected a positive integer, found 1.5"),
        ({"current_self_fraction": float("nan")}, "current_self_fraction: expected a number from 0 to 1, found nan"),
        ({"save_every": 0}, "save_every: expected a positive integer"),
        ({"start_episode": -1}, "start_episode: expected an integer >= 0"),
        ({"sampling": "best"}, "sampling: expected one of uniform, latest, prioritized, found 'best'"),
        ({"eviction": "worst"}, "eviction: expected one of oldest, reservoir, found 'worst'"),
        ({"heuristics": []}, r"expected 1, since there are no heuristics, found 0\.3 \+ 0\.3"),
        (
            {"heuristics": [], "current_self_fraction": 1.0, "past_self_fraction": 0.0},
            "start_episode: expected 0, since there are no heuristics",
        ),
        ({"heuristics": [("easy", -1.0)]}, "the share of opponent 'easy' is -1.0"),
        ({"heuristics": [("easy", 0.0)]}, "are all 0"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str, make_toy: Any, make_player: Any, tmp_path: Path) -> None:
    arguments = {"seed": 1, **settings}
    named = arguments.pop("heuristics", [("easy", 1.0)])
    with pytest.raises(SelfPlayError, match=message):
        OpponentPool(tmp_path, make_toy(), [(make_player(name), share) for name, share in named], **arguments)


def test_heuristics_by_name(make_toy: Any, tmp_path: Path) -> None:
    pool = OpponentPool(tmp_path, make_toy(), {"random": 0.5, "heuristic": 1.5}, seed=1)
    met = Counter(pool.draw(2000))
    assert met["heuristic"] / 2000 == pytest.approx(0.75, abs=0.03)
    assert set(met) == {"random", "heuristic"}
    with pytest.raises(ConfigError, match="unknown opponent 'heuristik'; did you mean 'heuristic'"):
        OpponentPool(tmp_path, make_toy(), {"heuristik": 1.0}, seed=1)


class RecordStart(BaseCallback):
    """
    Calls a function when training starts.

    :param function: which
    """

    def __init__(self, function: Any) -> None:
        super().__init__()
        self._function = function

    def _on_training_start(self) -> None:
        self._function()

    def _on_step(self) -> bool:
        return True


@pytest.mark.parametrize("start_policy", ["agent_first", "opponent_first"])
def test_a_pool_of_oneself_needs_a_learner(start_policy: Any, make_toy: Any, tmp_path: Path) -> None:
    game = make_toy()
    pool = OpponentPool(tmp_path, game, [], seed=1, start_episode=0, current_self_fraction=0.5, past_self_fraction=0.5)
    env = SelfPlayVecEnv(game, pool, start_policy=start_policy)
    env.reset()
    with pytest.raises(SelfPlayError, match=r"call learn\(\) with OpponentPoolCallback\(\), or call pool\.attach"):
        env.step(np.zeros(1, dtype=int))


@pytest.mark.parametrize("algorithm", [MaskablePPO, DQN])
@pytest.mark.parametrize("heuristics", [False, True])
@pytest.mark.parametrize("normalized", [False, True])
def test_a_script_meets_the_current_self_from_the_first_game_on(
    algorithm: Any, heuristics: bool, normalized: bool, make_toy: Any, make_player: Any, tmp_path: Path
) -> None:
    game = make_toy(8)
    pool = OpponentPool(
        tmp_path, game, [(make_player("easy"), 1.0)] if heuristics else [], seed=1,
        start_episode=0, current_self_fraction=1.0, past_self_fraction=0.0,
    )  # fmt: skip
    arguments: Any = {"masks_in_observation": True, "illegal_move": "random_legal"} if algorithm is DQN else {}
    env: Any = VecMonitor(SelfPlayVecEnv(game, pool, start_policy="alternate", seed=2, **arguments))
    if normalized:
        env = VecNormalize(env, norm_obs=algorithm is not DQN)
    policy, more = ("MultiInputPolicy", DQN_PARAMS) if algorithm is DQN else ("MlpPolicy", {"n_steps": 8})
    model = algorithm(policy, env, batch_size=16, policy_kwargs={"net_arch": [8]}, device="cpu", **more)
    first: list[Any] = []
    look = RecordStart(lambda: first.append((env.unwrapped, game.cells.copy())))
    model.learn(160, callback=[OpponentPoolCallback(), look])
    assert set(pool.results) == {"self"}
    assert pool.results["self"].games == pool.episodes > 10
    [(seat, cells)] = first
    assert seat.get_opponent_names() == {"self"}
    assert (cells >= 0).sum(axis=1).tolist() == [0, 1] * 4  # where the other one begins, it has


def assert_same_weights(first: Any, second: Any) -> None:
    ours, theirs = first.policy.state_dict(), second.policy.state_dict()
    assert all((ours[name] == theirs[name]).all() for name in ours)


def read_files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
