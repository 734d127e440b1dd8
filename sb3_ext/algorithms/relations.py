"""Check relations between the arguments of an algorithm, and to the number of environments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sb3_ext.algorithms.algorithm_registry import BUILT_IN, Algorithm
from sb3_ext.problems import Problem, expected

Values = Mapping[str, Any]


def find_relation_problems(algorithm: Algorithm, params: Values, num_envs: int | None) -> Iterator[Problem]:
    """
    :param algorithm: whose arguments
    :param params: converted, each with a valid value, defaults filled in
    :param num_envs: number of environments; ``None`` if it is not known
    :return: one problem a mistake, keyed from ``params`` inwards
    """
    if algorithm.family not in BUILT_IN:
        return  # the arguments of a user's class may mean anything
    values = {**params, "num_envs": num_envs}
    for find in (*_FOR_ALL, *_FOR.get(algorithm.family, ())):
        yield from find(values)


def _find_lone_advantage(values: Values) -> Iterator[Problem]:
    """The standard deviation of one advantage is NaN."""
    is_one = values.get("n_steps") == 1 and values["num_envs"] == 1
    if values.get("normalize_advantage") is True and is_one:
        message = "expected at least 2 with one environment: a single advantage cannot be normalized"
        yield Problem(("n_steps",), f"{message} (or set normalize_advantage: false)")


def _find_lone_minibatch(values: Values) -> Iterator[Problem]:
    if values.get("normalize_advantage") is True and values.get("batch_size") == 1:
        message = "expected at least 2: a single advantage cannot be normalized"
        yield Problem(("batch_size",), f"{message} (or set normalize_advantage: false)")


def _find_last_minibatch(values: Values) -> Iterator[Problem]:
    """PPO does not normalize the advantage of a minibatch of one transition; its variants divide it by NaN."""
    n_steps, batch_size = _read_whole(values, "n_steps"), _read_whole(values, "batch_size")
    num_envs = _read_whole(values, "num_envs")
    if values.get("normalize_advantage") is not True or n_steps is None or batch_size is None or num_envs is None:
        return
    size = n_steps * num_envs
    if batch_size > 1 and size > 1 and size % batch_size == 1:
        message = f"{batch_size} leaves 1 of the {size} transitions of a rollout (n_steps x num_envs) for a minibatch"
        advice = "a single advantage cannot be normalized; expected a factor of their number"
        yield Problem(("batch_size",), f"{message}, and {advice}")


def _find_excess_of_top(values: Values) -> Iterator[Problem]:
    n_top, n_delta = _read_whole(values, "n_top"), _read_whole(values, "n_delta")
    if n_top is not None and n_delta is not None and n_top > n_delta:
        yield Problem(("n_top",), f"expected at most n_delta, {n_delta}, found {n_top}")


def _find_dropped_quantiles(values: Values) -> Iterator[Problem]:
    dropped, kwargs = _read_whole(values, "top_quantiles_to_drop_per_net"), values.get("policy_kwargs")
    quantiles = _read_whole({"n_quantiles": _TQC_QUANTILES, **(kwargs or {})}, "n_quantiles")
    if dropped is not None and quantiles is not None and dropped >= quantiles:
        message = f"expected less than the number of quantiles (policy_kwargs.n_quantiles), {quantiles}"
        yield Problem(("top_quantiles_to_drop_per_net",), f"{message}, found {dropped}")


def _find_train_freq(values: Values) -> Iterator[Problem]:
    train_freq, num_envs = values.get("train_freq"), _read_whole(values, "num_envs")
    if isinstance(train_freq, tuple) and train_freq[1] not in ("step", "episode"):
        yield Problem(("train_freq", 1), expected("step or episode", train_freq[1]))
    elif isinstance(train_freq, tuple) and train_freq[1] == "episode" and num_envs is not None and num_envs > 1:
        message = f"episodes can be counted in one environment only, and there are {num_envs} (parallel.num_envs)"
        yield Problem(("train_freq",), f"{message}; count steps")


def _find_texts(values: Values) -> Iterator[Problem]:
    """SAC's ``auto`` and ``auto_0.1``."""
    for name, least, words in (
        ("ent_coef", 0.0, "auto, auto_<first value> such as auto_0.1, or a number >= 0"),
        ("target_entropy", -math.inf, "auto or a number"),
    ):
        text = values.get(name)
        if not isinstance(text, str) or text == "auto":
            continue
        is_first = name == "ent_coef" and text.startswith("auto_")
        try:
            number = float(text.removeprefix("auto_") if is_first else text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < least or (is_first and number == 0):
            yield Problem((name,), expected(words, text))


def _find_memory_usage(values: Values) -> Iterator[Problem]:
    kwargs = values.get("replay_buffer_kwargs")
    handles_timeouts = kwargs.get("handle_timeout_termination", True) if isinstance(kwargs, Mapping) else True
    if values.get("optimize_memory_usage") is not True:
        return
    if handles_timeouts is True:
        message = "cannot be combined with the handling of timeouts"
        advice = "set replay_buffer_kwargs: {handle_timeout_termination: false}"
        yield Problem(("optimize_memory_usage",), f"{message}; {advice}")
    n_steps = _read_whole(values, "n_steps")
    if n_steps is not None and n_steps > 1:
        yield Problem(("optimize_memory_usage",), f"cannot be combined with n-step returns (n_steps: {n_steps})")


def _read_whole(values: Values, name: str) -> int | None:
    value = values.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


_TQC_QUANTILES = 25
Relation = Callable[[Values], Iterator[Problem]]
_FOR_ALL: tuple[Relation, ...] = (_find_lone_advantage, _find_train_freq, _find_memory_usage)
_FOR: dict[str, tuple[Relation, ...]] = {
    "ppo": (_find_lone_minibatch,),
    "maskable_ppo": (_find_lone_minibatch, _find_last_minibatch),
    "recurrent_ppo": (_find_lone_minibatch, _find_last_minibatch),
    "ars": (_find_excess_of_top,),
    "tqc": (_find_dropped_quantiles, _find_texts),
    "sac": (_find_texts,),
    "crossq": (_find_texts,),
}
