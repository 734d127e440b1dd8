"""A study's table and picture, at the widths that terminals have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import click
import optuna
import pytest
from rich.cells import cell_len

from sb3_ext.cli.tune_view import _draw, format_trials
from sb3_ext.tuning.study_progress import Progress
from sb3_ext.tuning.trial_run import VALUES

KEYS = ("learning_rate", "n_steps", "gamma", "policy_kwargs.net_arch", "max_grad_norm", "clip_range", "ent_coef",
        "gae_lambda", "vf_coef", "batch_size", "n_epochs")  # fmt: skip


def make_study() -> Any:
    settings = SimpleNamespace(objective=["last", "fps"])
    return SimpleNamespace(plan=SimpleNamespace(name="a_study_with_a_rather_long_name", settings=settings))


def make_trial() -> optuna.trial.FrozenTrial:
    values = {
        f"agent.params.{key}": 0.000123456 if key != "policy_kwargs.net_arch" else [256, 256, 256] for key in KEYS
    }
    return optuna.create_trial(values=[475.0, 1234.5], user_attrs={VALUES: values})


@pytest.mark.parametrize(
    ("width", "shown"), [(80, 4), (100, 6), (160, 11), (None, 11)]
)  # fmt: skip
def test_a_narrow_terminal_shows_fewer_keys_and_names_the_others(width: int | None, shown: int) -> None:
    lines = [click.unstyle(line) for line in format_trials(make_study(), [make_trial()] * 5, width)]

    assert max(map(cell_len, lines)) <= (width or 200)
    names = [key.removeprefix("policy_kwargs.") for key in KEYS]
    assert lines[0].split() == ["trial", "last", "fps", *names[:shown]]
    text = " ".join(lines[6:])
    assert text == (f"no room for: {', '.join(names[shown:])}" if shown < len(KEYS) else "")


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_picture_fits_the_terminal(width: int) -> None:
    progress = Progress(
        trials=1000,
        complete=900,
        pruned=80,
        failed=10,
        waiting=3,
        running=(),
        best=make_trial(),
        elapsed_seconds=9.0,
        eta_seconds=1e5,
    )
    lines = [click.unstyle(line) for line in _draw(make_study(), progress, width)]
    assert max(map(cell_len, lines)) <= width
    assert "990/1000 trials, 0 running, 80 pruned, 10 failed, 3 waiting" in lines[0]
