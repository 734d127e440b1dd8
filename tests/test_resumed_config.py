"""A configuration given to a resumed run: permitted changes are made, others are refused with their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from sb3_ext import ConfigError, RunError
from sb3_ext.building.model import fill_defaults
from sb3_ext.config import RunConfig, dump_config, parse_override
from sb3_ext.runs.run import Run
from sb3_ext.training.resumed_config import Restatement, load_resumed_config
from sb3_ext.training.resuming import resume_run
from sb3_ext.training.start import start_run

MINE = """\
seed: 1
env: {id: CartPole-v1, params: {sutton_barto_reward: true}}
agent:
  id: ppo
  params: {gamma: 0.9, n_steps: 16}
train:
  total_steps: 100
"""


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(MINE)


def begin_run(*overrides: str, is_mock: bool = False) -> Run:
    """A run that was stopped before its first checkpoint, with a resolved configuration as training writes it."""
    start = start_run("mine.yaml", "run", overrides, mock=is_mock)
    with start.session as session:
        session.paths.resolved_config.write_text(dump_config(fill_defaults(start.config)))
        session.status.update(step=1)
        session.finish("signal SIGTERM")
    return start.run


def give_again(run: Run, text: str, *overrides: str, is_mock: bool = False) -> RunConfig:
    Path("mine.yaml").write_text(text)
    parsed = [parse_override(text, "--flag") for text in overrides]
    return load_resumed_config(run, Restatement("mine.yaml", parsed, is_mock)).config


def test_the_same_file_changes_nothing_without_the_first_flags() -> None:
    assert give_again(begin_run("seed=3"), MINE).seed == 3


def test_new_bounds_in_the_file_are_used() -> None:
    run = begin_run()
    longer = give_again(run, MINE.replace("100", "300") + "  duration: 5m\n")
    assert (longer.train.total_steps, longer.train.duration_seconds) == (300, 300)
    timed = give_again(run, MINE.replace("total_steps: 100", "duration: 5m"))
    assert (timed.train.total_steps, timed.train.duration_seconds) == (None, 300)
    assert give_again(run, MINE.replace("100", "300"), "train.total_steps=500").train.total_steps == 500


def test_parameters_of_checkpoints_may_change() -> None:
    changed = give_again(begin_run(), MINE + "  callbacks: [{type: checkpoint, params: {interval: 50}}]\n")
    assert changed.train.checkpoint.interval == 50


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("gamma: 0.9,", "gamma: 0.8,", "mine.yaml:5: agent.params.gamma: 0.9 in the run, now 0.8"),
        ("gamma: 0.9,", "", "mine.yaml: agent.params.gamma: 0.9 in the run, now 0.99"),
        (", params: {sutton_barto_reward: true}", "", "env.params.sutton_barto_reward: True in the run, now not set"),
        ("seed: 1", "seed: 2", "mine.yaml:1: seed: 1 in the run, now 2"),
    ],
)
def test_a_change_of_past_training_is_refused_with_its_line(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        give_again(begin_run(), MINE.replace(old, new))
    problem, rule = caught.value.problems
    assert problem.endswith(message)
    assert rule.startswith("a resume cannot change what past steps depend on; it may change train.total_steps, ")


@pytest.mark.parametrize(
    "text",
    [
        MINE.replace("gamma: 0.9,", "gamma: 9.0e-1,") + "# a comment\n",
        MINE.replace("params: {gamma", "params: {clip_range: 0.2, gamma"),
        MINE + "tune: {trials: 3}\n",
    ],
    ids=["spelling", "a default", "tune"],
)
def test_the_same_values_in_another_form_are_accepted(text: str) -> None:
    run = begin_run()
    before = load_resumed_config(run, Restatement()).config
    assert give_again(run, text).model_copy(update={"tune": None}) == before


def test_a_flag_may_move_into_the_file() -> None:
    assert give_again(begin_run("seed=3"), MINE.replace("seed: 1", "seed: 3")).seed == 3


def test_another_task_is_refused_in_one_line() -> None:
    text = "game: {id: connect4}\nagent: {id: dqn}\ntrain: {opponent_sampler: {type: random}}\n"
    with pytest.raises(ConfigError) as caught:
        give_again(begin_run(), text)
    [problem] = caught.value.problems
    assert problem.startswith("mine.yaml: is for dqn on connect4, but ")
    assert "is a run of ppo on CartPole-v1: leave out the configuration to resume it" in problem


def test_a_mock_run_is_resumed_with_the_flag_that_began_it() -> None:
    run = begin_run("env.params.sutton_barto_reward=false", is_mock=True)
    again = give_again(run, MINE, "env.params.sutton_barto_reward=false", is_mock=True)
    assert (again.is_mock, again) == (True, load_resumed_config(run, Restatement()).config)
    with pytest.raises(RunError, match="was begun with --mock-env; add it"):
        give_again(run, MINE)
    with pytest.raises(ConfigError, match=r"--flag: env\.params.sutton_barto_reward: False in the run, now True\n"):
        give_again(run, MINE, "env.params.sutton_barto_reward=true", is_mock=True)


def test_a_real_run_does_not_become_a_mock_run() -> None:
    with pytest.raises(RunError, match=r"--mock-env: .*run was begun without it; leave it out to resume the run"):
        load_resumed_config(begin_run(), Restatement(is_mock=True))


def test_rewinding_and_branching_need_a_checkpoint() -> None:
    begin_run()
    with pytest.raises(RunError, match=r"--rewind needs a checkpoint to go back to: --resume .*run/checkpoints/NAME"):
        resume_run("run", rewind=True)
    with pytest.raises(RunError, match="has no checkpoint to branch from"):
        resume_run("run", run_dir="other")
    assert not Path("other").exists()
