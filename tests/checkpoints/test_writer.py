"""Checkpoints are written behind the loop, one after the other, and no error is lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stable_baselines3 import DQN, PPO

from sb3_ext.checkpoints.bundle.bundle import Bundle, write_bundle
from sb3_ext.checkpoints.bundle.content import BundleContent
from sb3_ext.checkpoints.bundle.manifest import Score
from sb3_ext.checkpoints.restoration import restore_model
from sb3_ext.checkpoints.store import checkpoint_store as store_module
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.checkpoints.store.checkpoint_writer import BundleWriter
from sb3_ext.checkpoints.store.retention import Retention
from sb3_ext.errors import CheckpointError

MakeContent = Callable[..., BundleContent]


class Gate:
    """Lets a write begin, and end when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        monkeypatch.setattr(store_module, "write_bundle", self.write)

    def write(self, path: Path, content: BundleContent, previous: Bundle | None) -> Bundle:
        self.begun.set()
        assert self.may_end.wait(20)
        return write_bundle(path, content, previous)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    really_flush = os.fsync

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda full: monkeypatch.setattr(os, "fsync", fail if full else really_flush)


def make_dqn() -> DQN:
    kwargs = {"net_arch": [4]}
    return DQN("MlpPolicy", "CartPole-v1", buffer_size=60, learning_starts=4, policy_kwargs=kwargs, device="cpu")


def test_training_continues_while_a_checkpoint_is_written(
    store: CheckpointStore, make_content: MakeContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with BundleWriter(store) as writer:
        writer.save(make_content(10))
        assert gate.begun.wait(20)
        assert (writer.take_outcomes(), store.list_bundles()) == ([], [])
        gate.may_end.set()

    outcome = writer.take_outcomes()[0]
    assert (outcome.step, outcome.bundle, outcome.error) == (10, store.find_latest(), None)
    assert (store.directory / "latest" / "model.zip").is_file()


def test_a_second_save_waits_for_the_first(
    store: CheckpointStore, make_content: MakeContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with BundleWriter(store) as writer:
        writer.save(make_content(10))
        second = threading.Thread(target=writer.save, args=[make_content(20)])
        second.start()
        second.join(0.2)
        assert second.is_alive()
        gate.may_end.set()
        second.join(20)
        assert not second.is_alive()

    assert [outcome.step for outcome in writer.take_outcomes()] == [10, 20]


def test_a_boundary_without_a_replay_buffer_never_waits(
    store: CheckpointStore, make_content: MakeContent, tiny_ppo: PPO, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with BundleWriter(store) as writer:
        writer.save(make_content(10))
        assert gate.begun.wait(20)
        assert writer.capture(tiny_ppo).step == 32
        gate.may_end.set()


def test_the_last_checkpoint_is_on_the_disk_when_the_process_ends(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from stable_baselines3 import PPO
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.checkpoints.store.checkpoint_writer import BundleWriter
from sb3_ext.internals.torch import defer_compiler
defer_compiler()  # whose import takes seconds
writer = BundleWriter(CheckpointStore(Path(sys.argv[1])))
writer.save(writer.capture(PPO("MlpPolicy", "CartPole-v1", device="cpu")))
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True)

    assert CheckpointStore(tmp_path).resolve("latest").step == 0


def test_an_error_is_an_outcome_and_training_continues(
    store: CheckpointStore, make_content: MakeContent, full_disk: Callable[[bool], None]
) -> None:
    with BundleWriter(store) as writer:
        writer.save(make_content(10))
        writer.flush()
        full_disk(True)
        writer.save(make_content(20))
        writer._wait()
        full_disk(False)
        good, failed = writer.take_outcomes()
        writer.save(make_content(30))

    assert good.bundle is not None
    assert failed.bundle is None
    assert "step_000000020 could not be written: No space left on device" in str(failed.error)
    assert [bundle.step for bundle in store.list_bundles()] == [30, 10]
    assert not list(store.directory.glob(".*"))


@pytest.mark.parametrize("call", ["save", "flush", "close", "record_score"])
def test_an_error_that_was_not_taken_is_raised(
    store: CheckpointStore, make_content: MakeContent, full_disk: Callable[[bool], None], call: str
) -> None:
    writer = BundleWriter(store)
    full_disk(True)
    writer.save(make_content(10))
    arguments = {"save": [make_content(20)], "record_score": [20, Score(1.0, "evaluation")]}.get(call, [])

    with pytest.raises(CheckpointError, match="No space left on device"):
        getattr(writer, call)(*arguments)

    full_disk(False)
    writer.close()
    assert store.list_bundles() == []


def test_pruning_keeps_reserved_checkpoints(store: CheckpointStore, make_content: MakeContent) -> None:
    with BundleWriter(store, retention=Retention(keep_last=2)) as writer:
        writer.save(make_content(10))
        writer.spared.add(20)
        for step in (20, 30, 40, 50):
            writer.save(make_content(step))

    assert [bundle.step for bundle in store.list_bundles()] == [50, 40, 20]


def test_a_failed_save_prunes_nothing(
    store: CheckpointStore, make_content: MakeContent, full_disk: Callable[[bool], None]
) -> None:
    with BundleWriter(store) as writer:
        for step in (10, 20, 30):
            writer.save(make_content(step))
        writer.flush()
        writer.retention = Retention(keep_last=2)
        full_disk(True)
        writer.save(make_content(40))
        writer._wait()
        full_disk(False)
        assert writer.take_outcomes()[-1].error is not None

    assert [bundle.step for bundle in store.list_bundles()] == [30, 20, 10]


def test_a_score_is_recorded_in_the_background(store: CheckpointStore, make_content: MakeContent) -> None:
    with BundleWriter(store) as writer:
        writer.save(make_content(10))
        writer.save(make_content(20, 1.0))
        writer.record_score(10, Score(2.0, "evaluation"))

    assert store.resolve(store.directory / "best").step == 10


def save_replay(writer: BundleWriter, model: DQN) -> int:
    """Save, and say how many rows were written."""
    content = writer.capture(model)
    writer.save(content)
    writer._wait()
    assert content.replay is not None
    return content.replay.index.written_rows - content.replay.first


def test_only_new_replay_rows_are_written_also_after_a_failure_and_a_resume(
    store: CheckpointStore, full_disk: Callable[[bool], None]
) -> None:
    model, written = make_dqn(), []
    with BundleWriter(store) as writer:
        for full in (False, False, True, False):
            full_disk(full)
            written.append(save_replay(writer, model.learn(8, reset_num_timesteps=False)))
            assert [outcome.error is None for outcome in writer.take_outcomes()] == [not full]

    resumed, bundle = make_dqn(), store.resolve("latest")
    replay = restore_model(resumed, bundle)
    assert replay is not None
    resumed.num_timesteps = bundle.step
    with BundleWriter(store) as writer:
        writer.continue_from(resumed, bundle, replay)
        written.append(save_replay(writer, resumed.learn(4, reset_num_timesteps=False)))
    again = make_dqn()
    restore_model(again, store.resolve("latest"))

    assert written == [8, 9, 9, 17, 5]  # and the last row of the one before: SB3 may have ended its trajectory
    assert resumed.replay_buffer is not None
    assert again.replay_buffer is not None
    assert (again.replay_buffer.pos, again.replay_buffer.full) == (36, False)
    for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts"):
        np.testing.assert_array_equal(getattr(again.replay_buffer, name), getattr(resumed.replay_buffer, name))


def test_another_buffer_is_written_in_full(store: CheckpointStore, tmp_path: Path) -> None:
    model = make_dqn()
    with BundleWriter(store) as writer:
        model.learn(20)
        writer.save(writer.capture(model))
        model.save_replay_buffer(tmp_path / "replay.pkl")
        model.load_replay_buffer(tmp_path / "replay.pkl")
        assert model.replay_buffer is not None
        model.replay_buffer.rewards += 1
        model.learn(4, reset_num_timesteps=False)
        writer.save(writer.capture(model))
    restored = make_dqn()
    restore_model(restored, store.resolve("latest"))

    assert restored.replay_buffer is not None
    np.testing.assert_array_equal(restored.replay_buffer.rewards[:24], model.replay_buffer.rewards[:24])


def test_rows_whose_files_were_removed_are_written_again(store: CheckpointStore) -> None:
    model = make_dqn()
    with BundleWriter(store) as writer:
        model.learn(20)
        writer.save(writer.capture(model))
        writer.flush()
        store.set_aside(store.name_path(20), "gone")
        model.learn(4, reset_num_timesteps=False)
        writer.save(writer.capture(model))
        with pytest.raises(CheckpointError, match="no longer exists"):
            writer.flush()
        writer.save(writer.capture(model))
    restored = make_dqn()
    restore_model(restored, store.resolve("latest"))

    assert restored.replay_buffer is not None
    assert restored.replay_buffer.pos == 24


def test_an_attribute_that_cannot_be_saved_is_an_error(store: CheckpointStore, tiny_ppo: PPO) -> None:
    with BundleWriter(store) as writer:
        vars(tiny_ppo)["lock"] = threading.Lock()
        try:
            with pytest.raises(CheckpointError, match="has an attribute that cannot be saved: TypeError"):
                writer.capture(tiny_ppo)
        finally:
            del vars(tiny_ppo)["lock"]
