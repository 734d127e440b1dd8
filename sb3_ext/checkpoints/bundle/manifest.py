"""``manifest.json``: description of a checkpoint, with size and sha256 of every file and of itself."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from sb3_ext.checkpoints.model.architecture import STRICT_JSON, ModelDescription
from sb3_ext.errors import CheckpointError

FORMAT: Literal[3] = 3
OLDEST_FORMAT: Literal[1] = 1
"""The oldest format that can be read; see :mod:`sb3_ext.checkpoints.bundle.migration`."""
_NAME_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class FileEntry:
    """
    :param size_bytes: size of the file
    :param sha256: sha256 of its content, in hexadecimal
    """

    __pydantic_config__ = STRICT_JSON
    size_bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Score:
    """
    The score of a checkpoint.

    :param value: a finite number; higher is better
    :param of: kind of score, such as ``evaluation``; only scores of the same kind are compared
    """

    __pydantic_config__ = STRICT_JSON
    value: float
    of: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"value must be finite, but got {self.value}")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """
    :param format: version of the bundle's layout
    :param step: environment transitions so far (SB3's ``num_timesteps``)
    :param episode: episodes finished so far
    :param time: when it was captured, UTC, ISO 8601
    :param score: its score; ``None`` if it has none yet
    :param exact: whether a resume from it is exact
    :param exact_reason: the reason
    :param versions: versions of Python and relevant packages
    :param model: description from which the model can be built
    :param ranks: number of processes that trained it together
    :param files: all other files by their paths in the bundle, with ``/``
    """

    __pydantic_config__ = STRICT_JSON
    format: Literal[1, 2, 3] = FORMAT
    step: Annotated[int, Field(ge=0)]
    episode: Annotated[int, Field(ge=0)]
    time: str
    score: Score | None
    exact: bool
    exact_reason: str
    versions: dict[str, str]
    model: ModelDescription
    files: dict[str, FileEntry]
    ranks: Annotated[int, Field(ge=1)] = 1


def render_manifest(manifest: Manifest) -> str:
    """
    :param manifest: the manifest
    :return: content of its file: JSON whose last entry is the sha256 of the preceding ones
    """
    content = _make_adapter().dump_python(manifest, mode="json")
    return _render({**content, "sha256": _hash(content)})


def parse_manifest(raw: bytes) -> Manifest:
    """
    Read a manifest, which may be damaged or malicious.

    :param raw: the content of its file
    :return: the manifest
    :raises CheckpointError: if it is damaged, or this version cannot read it
    """
    try:
        text = raw.decode()
        content = json.loads(text)
        found = content.pop("sha256")
        is_intact = found == _hash(content) and text == _render({**content, "sha256": found})
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise CheckpointError(f"manifest.json is damaged ({type(error).__name__})") from error
    if not is_intact:
        raise CheckpointError("manifest.json is damaged: its content does not match its own sha256")
    version = content.get("format")
    if version not in range(OLDEST_FORMAT, FORMAT + 1):
        raise CheckpointError(
            f"manifest.json has format {version}, but this version of sb3_ext reads {OLDEST_FORMAT} to {FORMAT}"
        )
    try:
        manifest = _make_adapter().validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(f"manifest.json: {place}: {first['msg']}") from error
    for name in manifest.files:
        if not is_inside(name):
            raise CheckpointError(f"manifest.json lists a file outside the checkpoint: {name[:80]!r}")
    return manifest


def is_inside(name: str) -> bool:
    """
    :param name: path of a file in the bundle, with ``/``
    :return: whether it is safe: no empty, hidden or ``..`` parts, and only portable characters
    """
    return all(_NAME_PART.fullmatch(part) for part in name.split("/"))


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(_render(content).encode()).hexdigest()


def _render(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


@functools.cache
def _make_adapter() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)  # takes milliseconds, so not at the import
