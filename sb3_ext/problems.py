"""Mistakes in a configuration, and the words of their messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

Key = tuple[str | int, ...]

_LONGEST_LIST = 30
_LEAST_LIKENESS = 0.65  # of 1; less likeness gives wrong suggestions
_SB3_NAMES = {
    "clip": "clip_range", "clip_coef": "clip_range", "clip_param": "clip_range",
    "discount": "gamma", "discount_factor": "gamma",
    "entropy_coef": "ent_coef", "entropy_coeff": "ent_coef", "ent_coeff": "ent_coef",
    "epochs": "n_epochs", "num_epochs": "n_epochs", "update_epochs": "n_epochs", "num_sgd_iter": "n_epochs",
    "gae": "gae_lambda", "lam": "gae_lambda", "lambda": "gae_lambda",
    "hidden_sizes": "policy_kwargs", "net_arch": "policy_kwargs",
    "lr": "learning_rate",
    "memory_size": "buffer_size", "replay_size": "buffer_size",
    "minibatch_size": "batch_size", "mini_batch_size": "batch_size",
    "num_steps": "n_steps", "n_step": "n_steps", "rollout_length": "n_steps",
    "polyak": "tau",
    "start_steps": "learning_starts", "warmup_steps": "learning_starts",
    "target_network_frequency": "target_update_interval",
    "value_coef": "vf_coef", "value_loss_coef": "vf_coef", "vf_loss_coeff": "vf_coef",
}  # fmt: skip
"""Hyperparameters: their names in other libraries -> in Stable-Baselines3."""


class Problem(NamedTuple):
    """
    One mistake in a configuration.

    :param key: its place, from the outermost key inwards; list positions are integers
    :param message: what was found, what was expected
    """

    key: Key
    message: str

    def below(self, *prefix: str | int) -> Problem:
        """
        Return the same mistake with a longer key.

        :param prefix: keys in front of ``key``
        """
        return Problem((*prefix, *self.key), self.message)


def suggest_name(name: object, known: Iterable[str], *, prefix: str = "") -> str:
    """
    Return the end of a message about an unknown name.

    :param name: the unknown name
    :param known: the known names
    :param prefix: what stands before the suggested name
    :return: ``did you mean 'x'?``, or the list of known names if none is near and they are few
    """
    names = sorted(known)
    usual = _SB3_NAMES.get(str(name).lower())
    if usual in names:
        return f"did you mean '{prefix}{usual}'?"
    by_lower_case = {candidate.lower(): candidate for candidate in names}
    near = get_close_matches(str(name).lower(), by_lower_case, n=1, cutoff=_LEAST_LIKENESS)
    if near:
        return f"did you mean '{prefix}{by_lower_case[near[0]]}'?"
    if not names:
        return "none is expected here"
    return f"expected one of {', '.join(names)}" if len(names) <= _LONGEST_LIST else "check its spelling"


def describe_value(value: object) -> str:
    """Describe a value of a file in a few words for a message."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def expected(what: str, found: Any) -> str:
    """Return the message for a value of the wrong kind."""
    return f"expected {what}, found {describe_value(found)}"


def describe_bytes(size_bytes: float) -> str:
    """
    :param size_bytes: not negative
    :return: such as ``14.6 TiB``
    """
    units = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
    power = 0
    while size_bytes >= 1024 and power < len(units) - 1:
        size_bytes /= 1024
        power += 1
    return f"{size_bytes:,.0f} {units[power]}" if power == 0 else f"{size_bytes:,.1f} {units[power]}"


def describe_seconds(seconds: float) -> str:
    """
    :param seconds: not negative
    :return: two units at most, such as ``1 h 25 min``
    """
    whole = max(1, round(seconds))
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    index = next(index for index, (_, size) in enumerate(units) if whole >= size)
    parts = []
    for name, size in units[index : index + 2]:
        count, whole = divmod(whole, size)
        parts += [f"{count} {name}"] if count else []
    return " ".join(parts)
