"""A part of the memory that a training takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MemoryPart:
    """
    :param key: of the configuration, which it depends on
    :param name: what it is, for messages: "a replay buffer of 1,000,000 transitions"
    :param size_bytes: about how large it is
    :param is_own: whether it is in the training process, rather than in its workers
    :param is_filled_at_once: whether it is there from the start; buffers take memory as they fill
    """

    key: str
    name: str
    size_bytes: int
    is_own: bool = True
    is_filled_at_once: bool = False
