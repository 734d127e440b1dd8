from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import ResultsWriter
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecMonitor

from sb3_ext.vec import WorkerVecEnv
from sb3_ext.vec.monitor_files import continue_vec_monitor
from sb3_ext.vec.snapshots.snapshot_wrapper import SnapshotWrapper
from sb3_ext.vec.snapshots.vec_snapshots import cut_monitor_files, get_monitor_files, tolerate_full_disks


def make_monitored(directory: Path, kind: type[VecEnv], *, resumed: bool) -> VecEnv:
    return make_vec_env(
        lambda: gymnasium.make("CartPole-v1", max_episode_steps=8),
        n_envs=2,
        vec_env_cls=kind,
        monitor_dir=str(directory),
        monitor_kwargs={"override_existing": not resumed},
        wrapper_class=SnapshotWrapper if kind is SubprocVecEnv else None,
    )


def play(venv: VecEnv, steps: int) -> None:
    venv.reset()
    for _ in range(steps):
        venv.step(np.zeros(venv.num_envs, int))


@pytest.mark.parametrize("kind", [DummyVecEnv, SubprocVecEnv, WorkerVecEnv])
def test_episodes_after_the_checkpoint_are_removed(tmp_path: Path, kind: type[VecEnv]) -> None:
    venv = make_monitored(tmp_path, kind, resumed=False)
    play(venv, 30)
    files = get_monitor_files(venv)
    contents = [Path(file.path).read_bytes() for file in files if file]
    assert [file.size_bytes for file in files if file] == [len(content) for content in contents]
    assert len(contents) == 2
    play(venv, 30)
    venv.close()

    resumed = make_monitored(tmp_path, kind, resumed=True)
    assert cut_monitor_files(resumed, [file.size_bytes for file in files if file]) == files
    assert [Path(file.path).read_bytes() for file in files if file] == contents
    play(resumed, 30)
    resumed.close()
    for file, content in zip(files, contents, strict=True):
        assert file is not None
        grown = Path(file.path).read_bytes()
        assert grown.startswith(content)
        assert len(grown) > len(content)
        rows = [line.split(b",") for line in grown.splitlines()[2:]]
        times = [float(row[2]) for row in rows]
        assert times == sorted(times)


def test_a_file_open_for_overwriting_has_no_hole_after_the_cut(tmp_path: Path) -> None:
    venv = make_monitored(tmp_path, DummyVecEnv, resumed=False)
    play(venv, 30)
    sizes = [file.size_bytes for file in get_monitor_files(venv) if file]
    play(venv, 30)
    cut_monitor_files(venv, sizes)
    play(venv, 30)
    venv.close()
    assert not any(b"\0" in path.read_bytes() for path in tmp_path.iterdir())


def test_a_file_that_was_emptied_is_reported_shorter(tmp_path: Path) -> None:
    venv = make_monitored(tmp_path, DummyVecEnv, resumed=False)
    (first, second) = cut_monitor_files(venv, [5000, None])
    assert first is not None
    assert second is not None
    assert first.size_bytes < 5000
    venv.close()


@pytest.mark.parametrize("name", ["0", "0.monitor.csv"])
def test_vec_monitor_appends_to_its_file(tmp_path: Path, name: str) -> None:
    environment = DummyVecEnv([lambda: gymnasium.make("CartPole-v1", max_episode_steps=8)])
    begun = VecMonitor(environment, str(tmp_path / name))
    play(begun, 40)
    begun.results_writer.close()
    before = (tmp_path / "0.monitor.csv").read_text()
    continued = VecMonitor(environment)
    continue_vec_monitor(continued, tmp_path / name)
    play(continued, 40)
    continued.results_writer.close()

    after = (tmp_path / "0.monitor.csv").read_text()
    assert len(before.splitlines()) >= 6
    assert after.startswith(before)
    assert len(after) > len(before)


def test_vec_monitor_counts_time_from_the_beginning_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "all.monitor.csv"
    ResultsWriter(str(path), header={"t_start": 123.0, "env_id": "x"}).close()
    venv = VecMonitor(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]))
    assert get_monitor_files(venv) == [None]
    venv.results_writer = ResultsWriter(str(path), override_existing=False)
    cut_monitor_files(venv, [path.stat().st_size])
    assert venv.t_start == 123.0
    venv.close()


@pytest.mark.parametrize("kind", [DummyVecEnv, SubprocVecEnv, WorkerVecEnv])
def test_a_full_disk_is_a_warning_and_the_step_succeeds(
    tmp_path: Path, kind: type[VecEnv], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "0.monitor.csv").symlink_to("/dev/full")  # of the first of two environments
    venv = make_monitored(tmp_path, kind, resumed=True)
    tolerate_full_disks(venv)
    play(venv, 17)
    venv.close()
    assert len((tmp_path / "1.monitor.csv").read_text().splitlines()) == 2
    if kind is DummyVecEnv:
        assert caplog.text.count("cannot write ") == 1
