"""Returns from SB3's Monitor files, as they grow."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
from stable_baselines3.common.monitor import Monitor

from sb3_ext.runs.episode_files import EpisodeReturns

HEADER = '#{"t_start": 1.5, "env_id": "CartPole-v1"}\nr,l,t\n'


def test_a_real_monitor_file_is_read(tmp_path: Path) -> None:
    env = Monitor(gym.make("CartPole-v1"), str(tmp_path / "0"))
    lengths = []
    for seed in range(3):
        env.reset(seed=seed)
        while not env.step(0)[2]:
            pass
        lengths.append(float(env.get_episode_lengths()[-1]))
    env.close()

    assert EpisodeReturns(tmp_path).read() == lengths


def test_environments_are_merged_by_time(tmp_path: Path) -> None:
    (tmp_path / "0.monitor.csv").write_text(HEADER + "1,5,0.1\n3,5,0.3\n")
    (tmp_path / "1.monitor.csv").write_text(HEADER + "2,5,0.2\n4,5,0.4\n")

    assert EpisodeReturns(tmp_path).read() == [1.0, 2.0, 3.0, 4.0]


def test_only_whole_lines_count_and_only_once(tmp_path: Path) -> None:
    returns = EpisodeReturns(tmp_path / "monitor")
    assert returns.read() == []

    (tmp_path / "monitor").mkdir()
    path = tmp_path / "monitor" / "0.monitor.csv"
    path.write_text(HEADER + "1,5,0.1\n2,5")
    assert returns.read() == [1.0]

    with path.open("a") as file:
        file.write(",0.2\n3,5,0.3\n")
    assert returns.read() == [1.0, 2.0, 3.0]


def test_a_file_that_was_cut_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "0.monitor.csv"
    path.write_text(HEADER + "1,5,0.1\n2,5,0.2\n3,5,0.3\n")
    returns = EpisodeReturns(tmp_path)
    returns.read()

    path.write_text(HEADER + "1,5,0.1\n7,5,0.2\n")
    assert returns.read() == [1.0, 7.0]
    path.unlink()
    assert returns.read() == []


def test_a_resumed_run_continues_in_time(tmp_path: Path) -> None:
    (tmp_path / "0.monitor.csv").write_text(HEADER + "1,5,0.1\n3,5,9.0\n4,5,0.1\n")
    (tmp_path / "1.monitor.csv").write_text(HEADER + "2,5,8.0\n5,5,1.2\n")

    assert EpisodeReturns(tmp_path).read() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_values_that_are_not_numbers_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "0.monitor.csv").write_text(HEADER + "nan,5,0.1\ninf,5,0.2\n\nx,y,z\n1,5,0.3,extra\n")

    assert EpisodeReturns(tmp_path).read() == [1.0]
