"""Load configurations from YAML and overrides, with a message for each mistake."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sb3_ext.config import Override, RunConfig, dump_config, load_config
from sb3_ext.errors import ConfigError

MINIMAL: dict[str, Any] = {"env": {"id": "CartPole-v1"}, "agent": {"id": "ppo"}}


def problems_of(config: Any, overrides: list[str | Override] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(config, overrides or [])
    return caught.value.problems


def test_defaults() -> None:
    config = load_config(MINIMAL)
    assert config.train.total_steps == 10_000
    assert (config.parallel.num_envs, config.parallel.mode) == (1, "auto")
    assert config.agent.policy is None
    assert config.seed is None


def test_built_in_names_are_found_without_reading_the_entry_points_of_all_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sb3_ext.extensions.Registry._read_entry_points", lambda _: pytest.fail("was called"))
    load_config(MINIMAL)


def test_five_mistakes_give_five_lines_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(
        "env:\n"
        "  id: CartPol-v1\n"
        "agent:\n"
        "  id: ppo\n"
        "  parms: {}\n"
        "  params: {n_step: 5, learning_rate: linaer(3e-4)}\n"
        "train:\n"
        "  total_steps: 'ten'\n"
    )
    assert problems_of(path) == [
        f"{path}:2: env.id: unknown environment 'CartPol-v1'; did you mean 'CartPole-v1'?",
        f"{path}:5: agent.parms: unknown key; did you mean 'params'?",
        f"{path}:6: agent.params.learning_rate: expected linear(start), linear(start, end) or constant(value), "
        "found 'linaer(3e-4)'",
        f"{path}:6: agent.params.n_step: unknown parameter; did you mean 'n_steps'?",
        f"{path}:8: train.total_steps: expected a positive integer, found 'ten'",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agent": {"id": "ppoo"}}, "agent.id: unknown algorithm 'ppoo'; did you mean 'ppo'?"),
        ({"agent": {}}, "agent.id: required, but missing"),
        ({"agent": 3}, "agent: expected a mapping, found 3"),
        (
            {"agent": {"id": "ppo", "policy": "MlpPolicies"}},
            "agent.policy: ppo has no policy 'MlpPolicies'; did you mean",
        ),
        ({"agent": {"id": "ppo", "policy": "no_such:Policy"}}, "agent.policy: cannot import module 'no_such'"),
        ({"agent": {"id": "ppo", "device": "gpu"}}, "agent.device: expected auto, cpu, cuda"),
        ({"agent": {"id": "ppo", "threads": 0}}, "agent.threads: expected 'auto' or a positive number"),
        (
            {"agent": {"id": "ppo", "params": {"seed": 1}}},
            "agent.params.seed: cannot be set here; use the top-level seed",
        ),
        (
            {"agent": {"id": "ppo", "params": {"batch_size": "big"}}},
            "agent.params.batch_size: expected an integer, found",
        ),
        ({"agent": {"id": "ppo", "params": {"gamma": True}}}, "agent.params.gamma: expected a number, found True"),
        (
            {"agent": {"id": "dqn", "params": {"replay_buffer_class": "HerReplayBufer"}}},
            "did you mean 'HerReplayBuffer'?",
        ),
        (
            {"agent": {"id": "dqn", "params": {"replay_buffer_class": "ReLU"}}},
            "expected a class as 'module:Name' or null",
        ),
        (
            {"agent": {"id": "td3", "params": {"action_noise": {"type": "norml", "std": 1}}}},
            "action_noise.type: expected normal",
        ),
        (
            {"agent": {"id": "td3", "params": {"action_noise": {"type": "normal"}}}},
            "action_noise.std: expected a number >= 0",
        ),
        (
            {"env": {"id": "CartPole-v1", "params": {"colour": 1}}},
            "env.params.colour: unknown parameter; expected one of",
        ),
        ({"env": {"id": "json:CartPole-v99"}}, "did you mean 'json:CartPole-v1'?"),
        (
            {"agent": {"id": "ppo", "params": {"lr": 1e-3}}},
            "agent.params.lr: unknown parameter; did you mean 'learning_rate'?",
        ),
        ({"agent": {"id": "ppo", "params": {"num_steps": 8}}}, "did you mean 'n_steps'?"),
        ({"agent": {"id": "dqn", "params": {"gae": 0.9}}}, "agent.params.gae: unknown parameter; "),
        ({"env": {"id": "CartPole-v99"}}, "env.id: unknown environment 'CartPole-v99'; did you mean 'CartPole-v1'?"),
        (
            {"env": {"id": "no_such_module:X-v0"}},
            "env.id: cannot import module 'no_such_module': No module named 'no_such_module'",
        ),
        (
            {"env": {"id": "CartPole-v1", "normalize": {"clip": 1}}},
            "env.normalize.clip: unknown parameter; did you mean",
        ),
        ({"env": {"id": "CartPole-v1", "normalize": 7}}, "env.normalize: expected true, false or VecNormalize's"),
        (
            {"env": {"id": "CartPole-v1", "wrappers": ["gymnasium.wrappers.Nope"]}},
            "env.wrappers.0: module 'gymnasium.wrappers' has no 'Nope'",
        ),
        ({"env": {"id": "CartPole-v1", "wrappers": [5]}}, "env.wrappers.0: expected 'module.Class' or"),
        (
            {"env": {"id": "CartPole-v1", "wrappers": [{"gymnasium.wrappers.TimeLimit": {}}]}},
            "env.wrappers.0.max_episode_steps: required, but missing",
        ),
        ({"train": {"duration": "10x"}}, "train.duration: expected a duration such as 90s"),
        (
            {"train": {"total_steps": None}},
            "train: nothing ends this run; give total_steps, total_episodes or duration",
        ),
        ({"train": {"total_steps": -1}}, "train.total_steps: expected a positive integer, found -1"),
        ({"train": {"deterministic": True}, "agent": {"id": "sac"}}, "train.deterministic: sac cannot collect"),
        (
            {"train": {"callbacks": [{"type": "lr_dcay"}]}},
            "train.callbacks.0.type: unknown callback 'lr_dcay'; did you",
        ),
        (
            {"train": {"callbacks": [{"type": "os:path"}]}},
            "train.callbacks.0.type: 'os:path' is not a subclass of SB3's BaseC",
        ),
        ({"train": {"callbacks": [{"type": "no_such:X"}]}}, "train.callbacks.0.type: cannot import module 'no_such'"),
        ({"train": {"callbacks": [{}]}}, "train.callbacks.0.type: required, but missing"),
        ({"train": {"callbacks": 3}}, "train.callbacks: expected a list, found 3"),
        (
            {"train": {"callbacks": [{"type": "lr_decay", "params": {"interval_step": 1, "interval_steps": 2}}]}},
            "train.callbacks.0.params.interval_step: unknown parameter; did you mean 'interval_steps'?",
        ),
        ({"early_stopping": {"target": {}}}, "early_stopping.target.return: required, but missing"),
        (
            {"early_stopping": {"target": {"retrun": 1, "return": 2}}},
            "target.retrun: unknown key; did you mean 'return'?",
        ),
        ({"early_stopping": {"plateau": {"min_delta": -1}}}, "plateau.min_delta: expected a number >= 0, found -1"),
        ({"eval": {"env": {"parms": {}}}}, "eval.env.parms: unknown key; did you mean 'params'?"),
        ({"seed": -1}, "seed: expected an integer from 0 to 4294967295, found -1"),
        (
            {"parallel": {"mode": "threads"}},
            "parallel.mode: unknown parallel mode 'threads'; expected one of auto, gymnasium, native, ray, ",
        ),
        (
            {"parallel": {"num_workers": 3, "num_envs": 8}},
            "parallel: 8 environments cannot be divided among 3 workers; take 6 or 9 environments, or a number of "
            "workers that divides 8",
        ),
        ({"parallel": {"num_workers": 4}}, "parallel: 4 workers for 1 environment; each needs at least one"),
        (
            {"parallel": {"mode": "subproc", "num_workers": 4}},
            "parallel: num_workers is for mode workers or ray, but the mode is subproc",
        ),
        ({"parallel": {"num_workers": 0}}, "parallel.num_workers: expected a positive integer, found 0"),
        (
            {"colour": 1},
            "colour: unknown key; expected one of agent, early_stopping, env, eval, game, parallel, seed, tracking, "
            "train, tune",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_each_mistake_has_its_line(changes: dict[str, Any], message: str) -> None:
    problems = problems_of({**MINIMAL, **changes})
    assert len(problems) == 1
    assert message in problems[0]


def test_overrides_replace_values_and_are_named_in_errors() -> None:
    config = load_config(MINIMAL, ["agent.params.gamma=0.9", "train.total_steps=1e6", Override(("seed",), 7, "--seed")])
    assert (config.agent.params["gamma"], config.train.total_steps, config.seed) == (0.9, 1_000_000, 7)
    assert sorted(problems_of(MINIMAL, ["agent.parms=0.9", Override(("seed",), "x", "--seed")]), reverse=True) == [
        "--set: agent.parms: unknown key; did you mean 'params'?",
        "--seed: seed: expected an integer from 0 to 4294967295, found 'x'",
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("env.id=CartPole-v1", "command line: agent: required, but missing; give --algo"),
        ("agent.id=ppo", "command line: env: required, but missing (or game, for a two-player game); give --env"),
    ],
)
def test_the_flag_for_what_is_missing_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override])
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("gamma", "--set gamma: expected KEY=VALUE"),
        ("=3", "--set =3: expected KEY=VALUE"),
        ("a..b=3", "--set a..b=3: expected KEY=VALUE"),
        ("seed=[", "--set 'seed=[': not valid YAML"),
        ("seed.deep=3", "seed.deep: expected a mapping, found 1 above this key"),
        ("env.wrappers.3=x", "env.wrappers.3: no item '3' in a list of 0"),
    ],
)
def test_invalid_overrides_are_refused(override: str, message: str) -> None:
    config = {**MINIMAL, "seed": 1, "env": {"id": "CartPole-v1", "wrappers": []}}
    assert message in problems_of(config, [override])[0]


def test_another_bound_replaces_the_default_number_of_steps() -> None:
    assert load_config({**MINIMAL, "train": {"duration": "10m"}}).train.total_steps is None
    assert load_config({**MINIMAL, "train": {"duration": "10m", "total_steps": 5}}).train.total_steps == 5


def test_mode_and_number_of_environments_follow_from_workers() -> None:
    parallel = load_config({**MINIMAL, "parallel": {"num_workers": 2, "num_envs_per_worker": 4}}).parallel
    assert (parallel.mode, parallel.num_envs) == ("workers", 8)
    parallel = load_config({**MINIMAL, "parallel": {"num_envs": 8}}, ["parallel.num_envs_per_worker=2"]).parallel
    assert (parallel.mode, parallel.num_envs) == ("workers", 8)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), (2, 7200), (0.5, 1800), ("2", 7200)]
)
def test_durations_are_converted_to_seconds(text: object, seconds: float) -> None:
    assert load_config({**MINIMAL, "train": {"duration": text}}).train.duration_seconds == seconds


def test_a_dumped_configuration_loads_to_an_equal_one() -> None:
    config = load_config(
        {
            "seed": 3,
            "env": {"id": "Pendulum-v1", "params": {"g": 9.8}, "max_steps": 50, "normalize": {"norm_reward": False}},
            "agent": {
                "id": "td3",
                "params": {"action_noise": {"type": "normal", "std": 0.1}, "train_freq": [1, "episode"]},
            },
            "train": {
                "duration": "90s",
                "total_steps": 1000,
                "callbacks": [{"type": "lr_decay", "params": {"interval_steps": 9}}],
            },
            "early_stopping": {"target": {"return": -200}, "plateau": {"by": "evaluation"}},
        }
    )
    assert load_config(yaml.safe_load(dump_config(config))) == config


def test_a_loaded_configuration_is_frozen() -> None:
    config = load_config(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "env: required"), ("[]", "expected a mapping with the keys env and agent, found a list"), ("5", "found 5")],
)
def test_files_without_a_mapping_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(content)
    assert message in "\n".join(problems_of(path))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    assert problems_of(tmp_path / "no.yaml") == [f"{tmp_path}/no.yaml: cannot be read: No such file or directory"]
    assert problems_of(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]
    assert "did you mean 'cartpole_ppo'?" in problems_of("cartpol_ppo")[0]


def test_line_breaks_in_keys_and_values_are_escaped_in_messages() -> None:
    policy_kwargs = {"optimizer_class": "p7\x85"}
    [problem] = problems_of({**MINIMAL, "agent": {"id": "ppo", "params": {"policy_kwargs": policy_kwargs}}})
    assert "unknown class 'p7\\x85'" in problem
    [problem] = problems_of({**MINIMAL, "a\nb": 1})
    assert "a\\nb: unknown key" in problem


def test_objects_in_a_mapping_are_refused() -> None:
    assert "not plain data" in problems_of({**MINIMAL, "seed": object()})[0]


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
_KEYS = sorted(RunConfig.model_json_schema()["properties"])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=8), _VALUES, max_size=4))
def test_wrong_types_anywhere_get_messages(data: dict[str, Any]) -> None:
    with suppress(ConfigError):
        load_config(data)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.sampled_from(["env", "agent", "train", "parallel", "eval"]),
    st.text(max_size=8) | st.just("params") | st.just("wrappers") | st.just("normalize"),
    _VALUES,
)
def test_wrong_types_inside_sections_get_messages(section: str, key: str, value: Any) -> None:
    data = {**MINIMAL, section: {**MINIMAL.get(section, {}), key: value}}
    with suppress(ConfigError):
        load_config(data)


def test_overrides_name_callbacks_by_type() -> None:
    overrides = ["train.callbacks.checkpoint.params.interval=50", "train.callbacks.checkpoint.params.keep_last=1"]
    checkpoint = load_config(MINIMAL, overrides).train.checkpoint
    assert (checkpoint.interval, checkpoint.keep_last) == (50, 1)
    [problem] = problems_of(MINIMAL, ["train.callbacks.checkpoint.params.intervall=50"])
    assert problem == "--set: train.callbacks.0.params.intervall: unknown key; did you mean 'interval'?"


def test_mistakes_in_the_checkpoint_entry_have_their_lines() -> None:
    entry = {"type": "checkpoint", "enabled": False, "params": {"keep_last": 0}}
    problems = problems_of({**MINIMAL, "train": {"callbacks": [entry]}})
    assert any("checkpoints are always on" in problem for problem in problems)
    assert any("params.keep_last: expected a positive integer, found 0" in problem for problem in problems)
    [problem] = problems_of({**MINIMAL, "train": {"callbacks": [{"type": "chekpoint"}]}})
    assert "unknown callback 'chekpoint'; did you mean 'checkpoint'?" in problem


def test_entries_have_typed_parameters_by_their_type() -> None:
    callbacks = [
        {"type": "checkpoint", "params": {"keep_last": 1}},
        {"type": "lr_decay", "params": {"interval_steps": 9}},
    ]
    train = load_config({**MINIMAL, "train": {"callbacks": callbacks}}).train
    assert (train.checkpoint.keep_last, train.checkpoint.interval) == (1, 10_000)
    assert [(entry.type, entry.params) for entry in train.other_callbacks] == [("lr_decay", {"interval_steps": 9})]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (3, "train.callbacks.0: expected a mapping, found 3"),
        ({"type": 3}, "train.callbacks.0.type: expected text, found 3"),
        ({"type": "checkpoint", "parms": {}}, "train.callbacks.0.parms: unknown key; did you mean 'params'?"),
        ({"type": "checkpoint", "params": None}, "train.callbacks.0.params: expected a mapping, found nothing (null)"),
        ({"type": "checkpoint", "params": {"best_by": "luck"}}, "expected one of training_return, evaluation, found"),
        ({"type": "epsilon_decay", "params": {"every": "day"}}, "params.every: expected one of step, episode, found"),
        (
            {"type": "lr_decay", "params": {"interval_steps": 2.5}},
            "params.interval_steps: expected a positive integer, found 2.5",
        ),
    ],
    ids=str,
)
def test_mistakes_in_an_entry_have_one_line_without_its_tag(entry: Any, message: str) -> None:
    [problem] = problems_of({**MINIMAL, "train": {"callbacks": [entry]}})
    assert message in problem
