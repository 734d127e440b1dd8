"""
Configurations with arbitrary values: each trains a few steps, or is refused in one line a mistake and leaves nothing.

Each begins as one that trains, and gets arbitrary values at a few of the schema's keys: ordinary and unusual ones that
fit, values out of range, of the wrong type, of extreme size. It runs in a forked child with bounds of memory and time.
"""

from __future__ import annotations

import copy
import math
import os
import pickle
import resource
import signal
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sb3_ext.algorithms.algorithm_registry import ALGORITHMS
from sb3_ext.callbacks import TrainingStopped
from sb3_ext.callbacks.bases.light_callback import LightCallback
from sb3_ext.config.json_schema import make_json_schema
from sb3_ext.errors import ConfigError, Sb3ExtError
from sb3_ext.training.loop import train_run
from sb3_ext.training.start import start_run

KeyPath = tuple[str, ...]

FEW_STEPS, MOST_STEPS = 48, 400
TIMEOUT_SECONDS = 120
MEMORY_BYTES = 3 * 2**30
LONGEST_LINE = 1_000

NUMBER_OF_QUICK = 12
NUMBER_OF_ALL = 2_000

ROLLOUT = {"n_steps": 16, "batch_size": 8, "n_epochs": 1, "policy_kwargs": {"net_arch": [4]}}
REPLAY = {
    "buffer_size": 200,
    "learning_starts": 8,
    "batch_size": 4,
    "train_freq": 4,
    "policy_kwargs": {"net_arch": [4]},
}
SMALL_PARAMS: dict[str, dict[str, Any]] = {
    "ppo": ROLLOUT,
    "maskable_ppo": ROLLOUT,
    "recurrent_ppo": {**ROLLOUT, "policy_kwargs": {"net_arch": [4], "lstm_hidden_size": 4}},
    "a2c": {"n_steps": 8, "policy_kwargs": {"net_arch": [4]}},
    "trpo": {"n_steps": 16, "batch_size": 8, "n_critic_updates": 1, "policy_kwargs": {"net_arch": [4]}},
    "ars": {"n_delta": 1, "policy_kwargs": {"net_arch": [4]}},
    **dict.fromkeys(("dqn", "qrdqn", "sac", "td3", "ddpg", "tqc", "crossq"), REPLAY),
}
POOL = {
    "type": "pool",
    "params": {"self_play": {"start_episode": 2, "save_every": 2}, "heuristic_distribution": {"random": 1.0}},
}

# These multiply the work without being invalid; here they stay small where they are in range.
WORK = {
    "cg_max_steps", "episodes", "gradient_steps", "line_search_max_iter", "max_steps", "n_critic_updates", "n_delta",
    "n_epochs", "n_eval_episodes", "n_critics", "n_quantiles", "n_lstm_layers", "opening_plies", "policy_delay",
}  # fmt: skip
MOST_WORK = 20

# Other processes are not begun here: that takes seconds each, and tests/vec has their faults.
LEFT_OUT = {
    ("parallel", "mode"),
    ("parallel", "num_workers"),
    ("parallel", "num_envs_per_worker"),
    ("eval", "background"),
}


@dataclass
class Outcome:
    """
    :param kind: ``trained``, ``refused``, or ``crashed``
    :param lines: of the message of a refusal, or the traceback of a crash
    :param reason: why the training ended
    :param steps: how many were trained
    :param num_problems: of a refusal, as far as it counts them
    :param left: names of files that are left
    """

    kind: str
    lines: list[str] = field(default_factory=list)
    reason: str = ""
    steps: int = 0
    num_problems: int = 1
    left: list[str] = field(default_factory=list)


class FewStepsCallback(LightCallback):
    """Stops training after a few steps, once something was learnt."""

    def _on_step(self) -> bool:
        has_learnt = getattr(self.model, "_n_updates", 1) > 0
        if self.num_timesteps >= (FEW_STEPS if has_learnt else MOST_STEPS):
            raise TrainingStopped("few steps")
        return True


def make_base(algorithm: str, task: str) -> dict[str, Any]:
    """A configuration that trains in a moment."""
    config: dict[str, Any] = {
        "seed": 1,
        "parallel": {"num_envs": 1},
        "agent": {"id": algorithm, "device": "cpu", "threads": 1, "params": copy.deepcopy(SMALL_PARAMS[algorithm])},
        "train": {"total_steps": 1_000, "callbacks": [{"type": "checkpoint", "params": {"self_test": False}}]},
        "eval": {"episodes": 1, "every_steps": 30, "num_envs": 1},
    }
    if task == "connect4":
        config["game"] = {"id": "connect4", "params": {"rows": 4, "cols": 4}}
        config["train"]["opponent_sampler"] = copy.deepcopy(POOL)
    else:
        config["env"] = {"id": task, "max_steps": 8}
        config["parallel"]["mode"] = "sequential"
    return config


def find_tasks(algorithm: str) -> list[str]:
    if ALGORITHMS[algorithm].needs_action_masks:
        return ["connect4"]
    if "Discrete" not in ALGORITHMS[algorithm].action_spaces:
        return ["Pendulum-v1"]
    return ["CartPole-v1", "FrozenLake-v1", *(["connect4"] if ALGORITHMS[algorithm].board_buffer else [])]


@cache
def read_schema() -> dict[str, Any]:
    return make_json_schema()


@cache
def read_leaves(algorithm: str, task: str) -> list[tuple[KeyPath, Mapping[str, Any]]]:
    """Every key of the schema that such a configuration may have, with the schema of its value."""
    schema = read_schema()
    skipped = ("env",) if task == "connect4" else ("game",)
    return [
        (path, found)
        for path, found in walk(schema, schema, (), {"agent": algorithm, "opponent_sampler": "pool"})
        if path[0] not in skipped and path not in LEFT_OUT
    ]


def walk(
    schema: Mapping[str, Any], root: Mapping[str, Any], path: KeyPath, names: Mapping[str, str]
) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if path:
        yield path, schema
    properties = dict(schema.get("properties", {}))
    for part in schema.get("allOf", ()):
        [condition] = part["if"]["properties"].values() if "if" in part else [{}]
        if condition.get("const") == names.get(path[-1] if path else ""):
            properties |= part["then"]["properties"]
    for name, inner in properties.items():
        yield from walk(inner, root, (*path, name), names)
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if "$ref" in choice:
            choice = root["$defs"][choice["$ref"].rpartition("/")[2]]
        constant = choice.get("properties", {}).get("type", {}).get("const")
        is_other = constant not in (None, names.get(path[-1] if path else ""))
        if not is_other and ("properties" in choice or "oneOf" in choice):
            yield from (item for item in walk(choice, root, path, names) if item[0] != path)


EXTREMES = [
    0, -1, 1, 2, 0.5, 1.5, -0.5, 1e-30, 1e30, 1e39, 1e300, 2**31, 2**63, 10**12, 10**400, math.nan, math.inf, -math.inf,
]  # fmt: skip
WRONG = [None, True, False, "", "text", "nan", "1e3", "auto", [], [1], [-1, "a"], {}, {"a": 1}, [[]], {"a": {"b": []}}]
TEXTS = [
    "linear(1e-3)", "linear(0.2, 0.1)", "constant(0.1)", "linear(-1)", "constant(nan)", "exp(1)", "auto_0.1", "ReLU",
    "Tanh", "Adam", "FlattenExtractor", "HerReplayBuffer", "MlpPolicy", "CnnPolicy", "os:path", "no_such:Name", "step",
    "10s", "1h", "random", "latest",
]  # fmt: skip


def make_values(
    schema: Mapping[str, Any], root: Mapping[str, Any], path: KeyPath, *, only_fitting: bool
) -> st.SearchStrategy[Any]:
    fitting = make_fitting(schema, root)
    others = () if only_fitting else (st.sampled_from(EXTREMES), st.sampled_from(WRONG))
    return st.one_of(fitting, *others).map(lambda value: limit_work(path, value))


def make_fitting(schema: Mapping[str, Any], root: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values that the schema accepts; whether the program does is for it to say."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    for choices in (schema.get("enum"), [schema["const"]] if "const" in schema else None):
        if choices:
            return st.sampled_from(choices)
    for choices in (schema.get("anyOf"), schema.get("oneOf")):
        if choices:
            return st.one_of([make_fitting(choice, root) for choice in choices])
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    high = schema.get("exclusiveMaximum") if high is None else high
    kind = schema.get("type")
    if kind == "integer":
        least = -5 if low is None else int(low) + ("exclusiveMinimum" in schema)
        return st.integers(least, min(300, 300 if high is None else int(high)))
    if kind == "number":
        least, most = -10.0 if low is None else float(low), 10.0 if high is None else float(high)
        excluded = {"exclude_min": "exclusiveMinimum" in schema, "exclude_max": "exclusiveMaximum" in schema}
        return st.floats(least, most, **excluded)  # type: ignore[arg-type]
    if kind == "boolean":
        return st.booleans()
    if kind == "null":
        return st.none()
    if kind == "array":
        return st.lists(make_fitting(schema.get("items", {}), root), max_size=3)
    if kind == "object":
        more = schema.get("additionalProperties")
        inner = make_fitting(more, root) if isinstance(more, Mapping) else st.sampled_from([1, 0.5, "a", None])
        return st.dictionaries(st.sampled_from(["a", "pi", "vf", "qf", "random", "eps"]), inner, max_size=2)
    return st.sampled_from(TEXTS) | st.text(max_size=6)


def limit_work(path: KeyPath, value: Any) -> Any:
    is_large = isinstance(value, int | float) and MOST_WORK < value < math.inf and value % 1 == 0
    return MOST_WORK if path[-1] in WORK and is_large else value


@st.composite
def configurations(draw: st.DrawFn) -> tuple[dict[str, Any], int]:
    """A configuration, and how many mistakes it has at most."""
    algorithm = draw(st.sampled_from(sorted(ALGORITHMS)))
    task = draw(st.sampled_from(find_tasks(algorithm)))
    config, root, mistakes = make_base(algorithm, task), read_schema(), 0
    only_fitting = draw(st.booleans())
    for _ in range(draw(st.integers(1, 5))):
        path, schema = draw(st.sampled_from(read_leaves(algorithm, task)))
        value = draw(make_values(schema, root, path, only_fitting=only_fitting))
        mistakes += replace_value(config, path, value)
    return config, mistakes


def replace_value(config: dict[str, Any], path: KeyPath, value: Any) -> int:
    """:return: how many mistakes that may be: in the value; and new sections may miss a key, or be out of place"""
    target, mistakes = config, count_values(value)
    for name in path[:-1]:
        mistakes += 2 * (name not in target)
        if not isinstance(target.setdefault(name, {}), dict):
            return 0
        target = target[name]
    target[path[-1]] = value
    return mistakes + (10 if path == ("agent", "id") else 0)  # all parameters are another algorithm's


def count_values(value: Any) -> int:
    """:return: how many mistakes may be in a value; a mapping may also lack a key, and be out of place"""
    if isinstance(value, dict):
        return 2 + sum(map(count_values, value.values()))
    return 1 + sum(map(count_values, value)) if isinstance(value, list) else 1


@cache
def import_everything() -> None:
    """What a training imports, once for all children."""
    for algorithm, task in (("ppo", "CartPole-v1"), ("sac", "Pendulum-v1"), ("maskable_ppo", "connect4")):
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            train_a_little(make_base(algorithm, task), Path(folder) / "run")


def try_out(config: dict[str, Any]) -> Outcome:
    """Train it, in a child whose memory and time have bounds."""
    import_everything()
    with tempfile.TemporaryDirectory() as folder:
        result, directory = Path(folder) / "result", Path(folder) / "runs"
        directory.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # this process may have threads; the child needs none
            child = os.fork()
        if child == 0:
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)  # not that of pytest-timeout
                signal.alarm(TIMEOUT_SECONDS)
                limit = psutil.Process().memory_info().vms + MEMORY_BYTES
                resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                outcome = train_a_little(config, directory / "run")
                outcome.left = sorted(item.name for item in directory.iterdir())
                result.write_bytes(pickle.dumps(outcome))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if not result.exists():
            return Outcome("crashed", [f"the process ended with status {status}"])
        found: Outcome = pickle.loads(result.read_bytes())
        return found


def train_a_little(config: dict[str, Any], directory: Path) -> Outcome:
    warnings.simplefilter("ignore")
    try:
        start = start_run(config, directory)
        record = train_run(start, [FewStepsCallback()], draws_curves=False).record
        return Outcome("trained", reason=str(record.stop_reason), steps=record.step)
    except Sb3ExtError as error:
        problems = error.problems if isinstance(error, ConfigError) else [str(error)]
        return Outcome("refused", str(error).splitlines(), num_problems=len(problems))
    except BaseException:
        return Outcome("crashed", traceback.format_exc().splitlines())


def find_faults(config: dict[str, Any], mistakes: int, outcome: Outcome) -> list[str]:
    """What an outcome should not be."""
    if outcome.kind == "crashed":
        return ["it ended with a traceback"]
    if outcome.kind == "refused":
        checks = {
            "a directory is left": bool(outcome.left),
            "a mistake has several lines": len(outcome.lines) > outcome.num_problems,
            f"there are at most {mistakes} mistakes": outcome.num_problems > mistakes,
            "a line is long": any(len(line) > LONGEST_LINE for line in outcome.lines),
            "a line is a traceback": any("Traceback" in line or not line.strip() for line in outcome.lines),
        }
    else:
        checks = {"nothing was trained": outcome.steps < 1}
    return [fault for fault, is_found in checks.items() if is_found]


def check(drawn: tuple[dict[str, Any], int]) -> None:
    config, mistakes = drawn
    outcome = try_out(config)
    assert find_faults(config, mistakes, outcome) == [], "\n".join([repr(config), repr(outcome), *outcome.lines])


FUZZ = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # a child a configuration: shrinking would take an hour
)


@settings(FUZZ, max_examples=NUMBER_OF_QUICK)
@given(configurations())
def test_some_configurations_train_or_are_refused(drawn: tuple[dict[str, Any], int]) -> None:
    check(drawn)


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
@settings(FUZZ, max_examples=NUMBER_OF_ALL)
@given(configurations())
def test_two_thousand_configurations_train_or_are_refused(drawn: tuple[dict[str, Any], int]) -> None:
    check(drawn)


@pytest.mark.parametrize("algorithm", ["ppo", "dqn", "sac"])
def test_the_base_configurations_of_the_fuzz_train(algorithm: str) -> None:
    outcome = try_out(make_base(algorithm, find_tasks(algorithm)[0]))
    assert (outcome.kind, outcome.reason) == ("trained", "few steps"), outcome
