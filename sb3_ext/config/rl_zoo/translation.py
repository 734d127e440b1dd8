"""Translate the hyperparameters of RL Zoo into a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from sb3_ext.config.rl_zoo.hyperparameter_files import ALGORITHMS_OF_ZOO, ZooEntry
from sb3_ext.config.rl_zoo.python_values import name_class, parse_python
from sb3_ext.problems import Key, describe_value
from sb3_ext.vec.known_environments import find_module_of

EVAL_EVERY_STEPS, EVAL_EPISODES = 25_000, 5
"""The defaults of ``rl_zoo3.train``."""

_STOCHASTIC = ("atari", "minigrid", "ale_py")
"""Sections and modules of environments in which RL Zoo evaluates with sampled actions."""

_SCHEDULES = ("learning_rate", "clip_range", "clip_range_vf", "delta_std")
_PYTHON = ("policy_kwargs", "replay_buffer_class", "replay_buffer_kwargs")
_NOISE_TYPES = {"normal": "normal", "ornstein-uhlenbeck": "ornstein_uhlenbeck"}

_WRAPPERS = {
    "rl_zoo3.wrappers.FrameSkip": "sb3_ext_envs.wrappers.FrameSkip",
    "rl_zoo3.wrappers.MaskVelocityWrapper": "sb3_ext_envs.wrappers.VelocityMask",
    "rl_zoo3.wrappers.TimeFeatureWrapper": "sb3_contrib.common.wrappers.TimeFeatureWrapper",
    "rl_zoo3.wrappers.YAMLCompatResizeObservation": "gymnasium.wrappers.ResizeObservation",
}
"""Wrappers of RL Zoo -> the same elsewhere."""

_TIME_LIMITS = ("gymnasium.wrappers.time_limit.TimeLimit", "gymnasium.wrappers.TimeLimit")
_MASKED_VELOCITY = "NoVel-v"
"""In the ids of environments that RL Zoo registers: one of Gymnasium's in a MaskVelocityWrapper."""


class Note(NamedTuple):
    """
    A hyperparameter that could not be translated, or that has another meaning.

    :param line: in RL Zoo's file; ``None`` if it is not known
    :param key: of the hyperparameter
    :param message: what is different
    """

    line: int | None
    key: str
    message: str


@dataclass
class Translation:
    """
    A configuration made from the hyperparameters of RL Zoo.

    :param entry: the hyperparameters
    :param content: the configuration, as plain data
    :param lines: of the keys of the configuration, in RL Zoo's file
    :param notes: what could not be translated
    """

    entry: ZooEntry
    content: dict[str, Any]
    lines: dict[Key, int] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The configuration as YAML, with the notes as comments."""
        entry = self.entry
        places = ("" if note.line is None else f":{note.line}" for note in self.notes)
        head = [f"# From RL Zoo: {entry.path.name}, {entry.section or entry.env_id}"]
        head += [
            f"# {entry.path.name}{place}: {note.key}: {note.message}"
            for note, place in zip(self.notes, places, strict=True)
        ]
        return "\n".join([*head, yaml.safe_dump(self.content, sort_keys=False, allow_unicode=True)])


def translate(entry: ZooEntry) -> Translation:
    """
    :param entry: hyperparameters of RL Zoo
    :return: a configuration with the same meaning, and what it lacks
    """
    translator = _Translator(entry)
    for name, value in entry.values.items():
        translator.add(name, value)
    return translator.finish()


class _Translator:
    """Adds one hyperparameter after the other to a configuration."""

    def __init__(self, entry: ZooEntry) -> None:
        algorithm = ALGORITHMS_OF_ZOO[entry.algorithm]
        env_id, self._wrappers = entry.env_id, list[Any]()
        if _MASKED_VELOCITY in env_id:
            env_id = env_id.replace(_MASKED_VELOCITY, "-v")
            self._wrappers.append(_WRAPPERS["rl_zoo3.wrappers.MaskVelocityWrapper"])
        module = entry.module or find_module_of(env_id)
        self._env: dict[str, Any] = {"id": env_id if module is None else f"{module}:{env_id}"}
        self._agent: dict[str, Any] = {"id": algorithm}
        self._params: dict[str, Any] = {}
        self._train: dict[str, Any] = {}
        self._parallel: dict[str, Any] = {}
        self._eval: dict[str, Any] = {"every_steps": EVAL_EVERY_STEPS, "episodes": EVAL_EPISODES}
        if entry.section in _STOCHASTIC or module in _STOCHASTIC:
            self._eval["deterministic"] = False
        line = entry.find_line(())
        self._translation = Translation(entry, {}, {} if line is None else {("env", "id"): line})
        self._entry = entry
        self._special: dict[str, Callable[[Any], Key | None]] = {
            "n_timesteps": self._add_total_steps,
            "n_envs": self._add_num_envs,
            "normalize": self._add_normalize,
            "frame_stack": self._add_frame_stack,
            "env_wrapper": self._add_wrappers,
            "env_kwargs": self._add_env_params,
            "policy": self._add_policy,
            "noise_type": self._add_noise_type,
            "noise_std": self._add_noise_std,
            "callback": self._add_callbacks,
            "vec_env_wrapper": self._refuse("wrappers around all environments cannot be configured"),
            "monitor_kwargs": self._refuse("the monitor has no arguments here; is_success is always recorded"),
        }
        for problem in entry.problems:
            self._note(problem.key, problem.message)

    def add(self, name: str, value: Any) -> None:
        try:
            key = self._special[name](value) if name in self._special else self._add_parameter(name, value)
        except (ValueError, TypeError, OverflowError) as error:
            self._note((name,), f"{error}" if isinstance(error, ValueError) else f"found {describe_value(value)}")
            return
        line = self._entry.find_line((name,))
        if key is not None and line is not None:
            self._translation.lines[key] = line

    def finish(self) -> Translation:
        if self._wrappers:
            self._env["wrappers"] = self._wrappers
        has_stacked_statistics = self._env.get("frame_stack") and self._env.get("normalize")
        if has_stacked_statistics and _mapping(self._env["normalize"]).get("norm_obs") is not False:
            self._note(("frame_stack",), "RL Zoo stacks normalised observations; here stacked ones are normalised")
        if any("AtariWrapper" in str(wrapper) for wrapper in self._wrappers):
            self._note(
                ("env_wrapper",),
                "RL Zoo records returns before this wrapper; here they are of clipped rewards and of one life",
            )
        self._translation.notes.sort(key=lambda note: note.line or 0)
        agent = {**self._agent, "params": self._params}
        parts = {"env": self._env, "parallel": self._parallel, "agent": agent, "train": self._train}
        self._translation.content = {name: part for name, part in parts.items() if part} | {"eval": self._eval}
        return self._translation

    def _note(self, key: Key, message: str) -> None:
        line = self._entry.find_line(key)
        self._translation.notes.append(Note(line, ".".join(map(str, key)), message))

    def _refuse(self, reason: str) -> Callable[[Any], None]:
        def refuse(_: Any) -> None:
            raise ValueError(f"not translated: {reason}")

        return refuse

    def _add_parameter(self, name: str, value: Any) -> Key:
        if name in _SCHEDULES and isinstance(value, str):
            value = _translate_schedule(value)
        elif name in _PYTHON and isinstance(value, str):
            value = parse_python(value)
        self._params[name] = value
        return ("agent", "params", name)

    def _add_total_steps(self, value: Any) -> Key:
        self._train["total_steps"] = int(value)
        return ("train", "total_steps")

    def _add_num_envs(self, value: Any) -> Key | None:
        if self._entry.algorithm == "ars":
            if value != 1:
                self._note(("n_envs",), f"RL Zoo tries {value} candidates in parallel; here one environment tries all")
            return None
        self._parallel["num_envs"] = value
        return ("parallel", "num_envs")

    def _add_normalize(self, value: Any) -> Key:
        arguments = parse_python(value) if isinstance(value, str) else value
        if arguments:
            self._env["normalize"] = arguments
        return ("env", "normalize")

    def _add_frame_stack(self, value: Any) -> Key:
        self._env["frame_stack"] = value
        return ("env", "frame_stack")

    def _add_wrappers(self, value: Any) -> Key:
        for wrapper in _list(value):
            [(name, arguments)] = (
                wrapper.items() if isinstance(wrapper, dict) and len(wrapper) == 1 else [(wrapper, {})]
            )
            if not isinstance(name, str) or not isinstance(arguments or {}, dict):
                raise ValueError(f"not translated: expected the name of a wrapper, found {describe_value(wrapper)}")
            if name in _TIME_LIMITS and set(arguments) == {"max_episode_steps"}:
                self._env["max_steps"] = arguments["max_episode_steps"]
                continue
            name = _WRAPPERS.get(name, name)
            self._wrappers.append({name: arguments} if arguments else name)
        return ("env", "wrappers")

    def _add_env_params(self, value: Any) -> Key | None:
        arguments = parse_python(value) if isinstance(value, str) else value
        if arguments:
            self._env["params"] = arguments
        return ("env", "params")

    def _add_policy(self, value: Any) -> Key:
        self._agent["policy"] = name_class(value) if isinstance(value, str) else value
        return ("agent", "policy")

    def _add_noise_type(self, value: Any) -> Key | None:
        if value is None:
            return None
        chosen = next((ours for name, ours in _NOISE_TYPES.items() if name in value), None)
        if chosen is None:
            raise ValueError(f"not translated: unknown noise {describe_value(value)}")
        self._params.setdefault("action_noise", {})["type"] = chosen
        return ("agent", "params", "action_noise", "type")

    def _add_noise_std(self, value: Any) -> Key | None:
        if self._entry.values.get("noise_type") is None:
            return None
        self._params.setdefault("action_noise", {})["std"] = value
        return ("agent", "params", "action_noise", "std")

    def _add_callbacks(self, value: Any) -> Key:
        entries = []
        for callback in _list(value):
            [(name, arguments)] = callback.items() if isinstance(callback, dict) else [(callback, {})]
            if not isinstance(name, str):
                raise ValueError(f"not translated: expected the name of a callback, found {describe_value(callback)}")
            entries.append({"type": name_class(name), **({"params": arguments} if arguments else {})})
        if entries:
            self._train["callbacks"] = entries
        return ("train", "callbacks")


def _translate_schedule(value: str) -> str:
    """``lin_3e-4`` decays from 3e-4 to 0."""
    _, _, start = value.partition("_")
    try:
        return f"linear({float(start)!r})"
    except ValueError:
        raise ValueError(f"not translated: expected a schedule such as lin_3e-4, found {value!r}") from None


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
