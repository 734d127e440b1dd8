"""A replay buffer comes back to the bit, and costs what was added since the last checkpoint."""

from __future__ import annotations

import copy
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.buffers import DictReplayBuffer, NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.her import HerReplayBuffer

from sb3_ext.checkpoints.bundle import replay_files
from sb3_ext.checkpoints.bundle.bundle_files import BundleFiles
from sb3_ext.checkpoints.bundle.replay_files import LostRowsError, restore_replay, write_replay
from sb3_ext.checkpoints.state import replay_buffer as replay
from sb3_ext.checkpoints.state.replay_buffer import ReplayIndex, ReplaySnapshot, capture_replay, list_row_arrays
from sb3_ext.errors import CheckpointError

ROWS, ENVS = 23, 2
VECTOR = spaces.Box(-1.0, 1.0, (3,))
GOALS = spaces.Dict({name: spaces.Box(-1.0, 1.0, (2,)) for name in ("observation", "achieved_goal", "desired_goal")})
ACTIONS = spaces.Discrete(4)


def make_plain(**keywords: Any) -> ReplayBuffer:
    return ReplayBuffer(ROWS * ENVS, VECTOR, ACTIONS, "cpu", ENVS, **keywords)


MAKERS: dict[str, Callable[[], ReplayBuffer]] = {
    "plain": make_plain,
    "no timeouts": lambda: make_plain(handle_timeout_termination=False),
    "memory": lambda: make_plain(optimize_memory_usage=True, handle_timeout_termination=False),
    "discrete": lambda: ReplayBuffer(ROWS * ENVS, spaces.Discrete(5), spaces.Box(-1, 1, (2,)), "cpu", ENVS),
    "n-step": lambda: NStepReplayBuffer(ROWS * ENVS, VECTOR, ACTIONS, "cpu", ENVS, n_steps=3),
    "dict": lambda: DictReplayBuffer(ROWS * ENVS, GOALS, ACTIONS, "cpu", ENVS),
    "her": lambda: HerReplayBuffer(ROWS * ENVS, GOALS, ACTIONS, _NO_ENVS, "cpu", ENVS),
    "her with infos": lambda: HerReplayBuffer(ROWS * ENVS, GOALS, ACTIONS, _NO_ENVS, "cpu", ENVS, copy_info_dict=True),
}
_NO_ENVS: VecEnv = None  # type: ignore[assignment]  # sampling virtual goals would need them


def add_rows(buffer: ReplayBuffer, count: int, random: np.random.Generator) -> None:
    space = buffer.observation_space

    def draw() -> Any:
        if isinstance(space, spaces.Dict):
            return {key: random.normal(size=(ENVS, *member.shape)) for key, member in space.items()}
        return random.integers(5, size=ENVS) if isinstance(space, spaces.Discrete) else random.normal(size=(ENVS, 3))

    for _ in range(count):
        dones = random.random(ENVS) < 0.2
        infos = [
            {"TimeLimit.truncated": bool(done and random.random() < 0.5), "row": random.random()} for done in dones
        ]
        actions = random.integers(4, size=(ENVS, buffer.action_dim))
        buffer.add(draw(), draw(), actions, random.normal(size=ENVS), dones, infos)


class Checkpoints:
    """Writes one ``replay/`` after the other, as a run does."""

    def __init__(self, root: Path) -> None:
        self.root, self.step, self.index = root, 0, None
        self.files = BundleFiles(root)
        self.index: ReplayIndex | None = None

    def save(self, buffer: ReplayBuffer, added: int) -> Path:
        self.step += added * buffer.n_envs
        snapshot = self.capture(buffer)
        return self.write(snapshot)

    def capture(self, buffer: ReplayBuffer) -> ReplaySnapshot:
        return capture_replay(buffer, self.index, read_step=lambda: self.step)

    def write(self, snapshot: ReplaySnapshot) -> Path:
        files = BundleFiles(self.root / f"step_{len(list(self.root.iterdir())):03d}")
        source = None if self.index is None else self.files.folder
        self.index, self.files = write_replay(snapshot, files, source, self.files.entries), files
        return files.folder


def list_state(buffer: ReplayBuffer) -> dict[str, Any]:
    state: dict[str, Any] = dict(list_row_arrays(buffer))
    if isinstance(buffer, HerReplayBuffer):
        state |= {name: getattr(buffer, name) for name in ("ep_length", "_current_ep_start", "infos")}
    return state | {"pos": np.array(buffer.pos), "full": np.array(buffer.full)}


def assert_same(restored: ReplayBuffer, original: ReplayBuffer) -> None:
    expected = list_state(original)
    found = list_state(restored)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "_MOST_SEGMENT_ROWS", 5)
    monkeypatch.setattr(replay_files, "_MOST_PIECES", 2)
    monkeypatch.setattr(replay_files, "_COPIED_BYTES", 0)


@pytest.fixture(params=list(MAKERS))
def make_buffer(request: pytest.FixtureRequest) -> Iterator[Callable[[], ReplayBuffer]]:
    return MAKERS[request.param]  # type: ignore[no-any-return]


@pytest.mark.parametrize("added", [[7], [23], [60], [1] * 30, [3, 0, 0, 9, 22, 1, 4], [23, 23, 1], [46, 2, 50, 5, 11]])
def test_every_row_is_restored_exactly(
    tmp_path: Path, make_buffer: Callable[[], ReplayBuffer], added: list[int]
) -> None:
    buffer, checkpoints, random = make_buffer(), Checkpoints(tmp_path), np.random.default_rng(1)

    for count in added:
        add_rows(buffer, count, random)
        folder = checkpoints.save(buffer, count)
        restored = make_buffer()
        restore_replay(restored, folder)

        assert_same(restored, buffer)


def test_a_restored_buffer_shares_the_files(tmp_path: Path) -> None:
    buffer, checkpoints, random = make_plain(), Checkpoints(tmp_path), np.random.default_rng(2)
    add_rows(buffer, 30, random)
    folder = checkpoints.save(buffer, 30)

    resumed = make_plain()
    checkpoints.index = restore_replay(resumed, folder)
    add_rows(resumed, 3, random)
    later = checkpoints.save(resumed, 3)

    restored = make_plain()
    restore_replay(restored, later)
    assert_same(restored, resumed)
    shared = {path.name for path in (later / "replay").glob("rows_*") if path.stat().st_nlink == 2}
    assert len(shared) >= 3


def test_a_checkpoint_writes_only_new_rows(tmp_path: Path) -> None:
    buffer, checkpoints, random = make_plain(), Checkpoints(tmp_path), np.random.default_rng(3)
    add_rows(buffer, 100, random)
    checkpoints.save(buffer, 100)

    add_rows(buffer, 2, random)
    folder = checkpoints.save(buffer, 2)

    assert checkpoints.index is not None
    piece = checkpoints.index.pieces[-1]
    assert piece.stop - piece.first == 3  # the last row again: SB3 may have ended its trajectory
    new = [path for path in (folder / "replay").glob("rows_*") if path.stat().st_nlink == 1]
    assert sum(path.stat().st_size for path in new) < 3 * 10**3


def test_many_small_checkpoints_do_not_leave_many_files(tmp_path: Path) -> None:
    buffer, checkpoints, random = make_plain(), Checkpoints(tmp_path), np.random.default_rng(4)

    for _ in range(3 * ROWS):
        add_rows(buffer, 1, random)
        folder = checkpoints.save(buffer, 1)

    assert len(list(folder.rglob("rows_*"))) <= 5 + 2 + 5  # segments of the ring, a cut one, pieces of the open one


@pytest.mark.parametrize(("before", "new", "while_writing"), [(0, 5, 12), (60, 5, 12), (40, 20, 60), (0, 23, 40)])
def test_rows_are_saved_as_captured_while_training_continues(
    tmp_path: Path, make_buffer: Callable[[], ReplayBuffer], before: int, new: int, while_writing: int
) -> None:
    buffer, checkpoints, random = make_buffer(), Checkpoints(tmp_path), np.random.default_rng(9)
    add_rows(buffer, before, random)
    checkpoints.save(buffer, before)
    add_rows(buffer, new, random)
    checkpoints.step += new * ENVS

    snapshot, expected = checkpoints.capture(buffer), copy.deepcopy(list_state(buffer))
    buffer.dones[buffer.pos - 1] = 1  # as SB3 does when learning starts anew
    add_rows(buffer, while_writing, random)
    checkpoints.step += while_writing * ENVS
    folder = checkpoints.write(snapshot)

    restored = make_buffer()
    restore_replay(restored, folder)
    for name, array in list_state(restored).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.parametrize("while_writing", [17, 18, 23, 200])
def test_rows_that_training_overwrote_before_they_were_written_are_refused(tmp_path: Path, while_writing: int) -> None:
    buffer, checkpoints, random = make_plain(), Checkpoints(tmp_path), np.random.default_rng(10)
    add_rows(buffer, 5, random)
    checkpoints.step += 5 * ENVS

    snapshot = checkpoints.capture(buffer)
    add_rows(buffer, while_writing, random)
    checkpoints.step += while_writing * ENVS

    with pytest.raises(CheckpointError, match="overwrote the replay buffer's rows"):
        checkpoints.write(snapshot)


def test_a_buffer_that_is_emptied_while_it_is_written_is_refused(tmp_path: Path) -> None:
    buffer, checkpoints, random = make_plain(), Checkpoints(tmp_path), np.random.default_rng(11)
    add_rows(buffer, 8, random)
    checkpoints.step += 8 * ENVS

    snapshot = checkpoints.capture(buffer)
    buffer.reset()
    add_rows(buffer, 2, random)
    checkpoints.step += 2 * ENVS

    with pytest.raises(CheckpointError, match="overwrote the replay buffer's rows"):
        checkpoints.write(snapshot)


def test_a_trajectory_that_sb3_ends_afterwards_is_saved_again(tmp_path: Path) -> None:
    buffer, checkpoints, random = make_plain(), Checkpoints(tmp_path), np.random.default_rng(5)
    add_rows(buffer, 10, random)
    checkpoints.save(buffer, 10)

    buffer.dones[buffer.pos - 1] = True
    add_rows(buffer, 2, random)
    folder = checkpoints.save(buffer, 2)

    restored = make_plain()
    restore_replay(restored, folder)
    assert_same(restored, buffer)


def test_an_emptied_buffer_is_written_in_full(tmp_path: Path) -> None:
    buffer, checkpoints, random = make_plain(), Checkpoints(tmp_path), np.random.default_rng(6)
    add_rows(buffer, 30, random)
    checkpoints.save(buffer, 30)

    buffer.reset()
    add_rows(buffer, 9, random)
    folder = checkpoints.save(buffer, 9)

    restored = make_plain()
    restore_replay(restored, folder)
    assert (restored.pos, restored.full) == (9, False)
    np.testing.assert_array_equal(restored.rewards[:9], buffer.rewards[:9])


def test_later_checkpoints_do_not_change_earlier_ones(tmp_path: Path) -> None:
    buffer, checkpoints, random = make_plain(), Checkpoints(tmp_path), np.random.default_rng(7)
    kept = []
    for count in (4, 9, 1, 17, 2, 30, 3):
        add_rows(buffer, count, random)
        kept.append(
            (checkpoints.save(buffer, count), {name: array.copy() for name, array in list_state(buffer).items()})
        )

    for folder, expected in kept:
        restored = make_plain()
        restore_replay(restored, folder)
        for name, array in list_state(restored).items():
            np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.parametrize(
    ("make_other", "message"),
    [
        (lambda: ReplayBuffer(10 * ENVS, VECTOR, ACTIONS, "cpu", ENVS), "rows 23, but the model's has 10"),
        (lambda: ReplayBuffer(ROWS, VECTOR, ACTIONS, "cpu", 1), "environments 2, but the model's has 1"),
        (MAKERS["n-step"], "class ReplayBuffer, but the model's has NStepReplayBuffer"),
        (
            lambda: ReplayBuffer(ROWS * ENVS, spaces.Box(-1, 1, (4,)), ACTIONS, "cpu", ENVS),
            "observations holds float32",
        ),
    ],
)
def test_a_buffer_that_does_not_fit_is_refused(
    tmp_path: Path, make_other: Callable[[], ReplayBuffer], message: str
) -> None:
    buffer, checkpoints = make_plain(), Checkpoints(tmp_path)
    add_rows(buffer, 3, np.random.default_rng(8))
    folder = checkpoints.save(buffer, 3)

    with pytest.raises(CheckpointError, match=message):
        restore_replay(make_other(), folder)


def test_a_custom_buffer_is_refused() -> None:
    class OwnBuffer(ReplayBuffer):
        pass

    with pytest.raises(CheckpointError, match="OwnBuffer"):
        capture_replay(OwnBuffer(10, VECTOR, ACTIONS), None, read_step=int)


def test_info_dictionaries_that_cannot_be_pickled_are_an_error(tmp_path: Path) -> None:
    buffer, checkpoints = MAKERS["her with infos"](), Checkpoints(tmp_path)
    add_rows(buffer, 3, np.random.default_rng(12))
    vars(buffer)["infos"][1, 0] = {"function": lambda: None}

    with pytest.raises(CheckpointError, match="info dictionaries cannot be saved"):
        checkpoints.save(buffer, 3)


def test_bundles_with_small_buffers_share_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_files, "_COPIED_BYTES", 10**6)
    buffer, checkpoints, random = make_plain(), Checkpoints(tmp_path), np.random.default_rng(13)
    for _ in range(2):
        add_rows(buffer, 4, random)
        folder = checkpoints.save(buffer, 4)

    assert {path.stat().st_nlink for path in tmp_path.rglob("*.npz")} == {1}
    restored = make_plain()
    restore_replay(restored, folder)
    assert_same(restored, buffer)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EMLINK, errno.EXDEV])
def test_files_are_copied_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(_link: Path, _target: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "hardlink_to", fail)
    buffer, checkpoints, random = make_plain(), Checkpoints(tmp_path), np.random.default_rng(14)
    for _ in range(2):
        add_rows(buffer, 4, random)
        folder = checkpoints.save(buffer, 4)

    restored = make_plain()
    restore_replay(restored, folder)
    assert_same(restored, buffer)


@pytest.mark.parametrize("damage", ["missing", "cut", "not listed"])
def test_rows_lost_in_an_earlier_bundle_raise_lost_rows_error(tmp_path: Path, damage: str) -> None:
    buffer, checkpoints, random = make_plain(), Checkpoints(tmp_path), np.random.default_rng(15)
    for _ in range(4):
        add_rows(buffer, 1, random)
        folder = checkpoints.save(buffer, 1)
    name = min(path.name for path in folder.rglob("rows_*"))
    if damage == "missing":
        (folder / "replay" / name).unlink()
    elif damage == "cut":
        os.truncate(folder / "replay" / name, 100)
    else:
        del checkpoints.files.entries[f"replay/{name}"]

    added = 0 if damage == "not listed" else 1  # completes the segment: its pieces are read and merged
    add_rows(buffer, added, random)
    with pytest.raises(LostRowsError):
        checkpoints.save(buffer, added)
