"""Every shipped configuration loads and trains."""

from __future__ import annotations

from pathlib import Path

import pytest

from sb3_ext import train
from sb3_ext.config import find_shipped_configs, load_config

CONFIGS = sorted(path.stem for path in (Path(__file__).parents[1] / "configs").glob("*.yaml"))


def test_every_shipped_file_is_found_by_its_name() -> None:
    assert CONFIGS
    assert list(find_shipped_configs()) == CONFIGS


@pytest.mark.parametrize("name", CONFIGS)
def test_a_shipped_configuration_loads_by_name_and_has_a_seed(name: str) -> None:
    assert load_config(name).seed is not None


# Enough for an update and, with every episode cut short, for an evaluation.
BRIEF = ["train.total_steps=300", "eval.episodes=1"]
UPDATES = {
    "maskable_ppo": ["agent.params.n_steps=16", "agent.params.batch_size=32", "parallel.num_envs=8"],
    "ppo": ["agent.params.n_steps=16", "agent.params.batch_size=32"],
    "dqn": ["agent.params.learning_starts=250"],
    "sac": ["agent.params.learning_starts=250"],
}


# Procgen's are tried out in tests/procgen, where the library is.
@pytest.mark.parametrize("name", [name for name in CONFIGS if not name.startswith("procgen_")])
def test_a_shipped_configuration_trains(name: str, tmp_path: Path) -> None:
    config = load_config(name)
    cut_short = [] if config.env is None else ["env.max_steps=20"]
    run = train(name, run_dir=tmp_path / name, overrides=BRIEF + cut_short + UPDATES[config.agent.id])

    assert run.record.stop_reason == "total_steps"
    assert run.record.step >= 300
    assert run.metrics["last_evaluation"]["episodes"] == 1
