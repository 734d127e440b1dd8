"""
Read an untrusted ``model.zip`` without running code from it.

Stock SB3 unpickles every ``:serialized:`` value of the member ``data``. Here these are ignored, only tensors are loaded
from the ``.pth`` members, and the archive is checked first for its unpacked size and its members.
"""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from sb3_ext.errors import CheckpointError

_MODEL_MEMBERS = re.compile(r"data|system_info\.txt|_stable_baselines3_version|[A-Za-z0-9_][A-Za-z0-9_.]*\.pth")
_TORCH_MEMBERS = re.compile(r"[A-Za-z0-9_.\-]+(/[A-Za-z0-9_.\-]+)+")
_MOST_MODEL_MEMBERS, _MOST_TORCH_MEMBERS = 32, 100_000
_LARGEST_RATIO = 20
_LARGEST_DATA_BYTES = 64 * 2**20


def read_data(path: Path) -> dict[str, Any]:
    """
    Read the model's attributes; pickled ones are left as text.

    :param path: a ``model.zip``
    :return: the member ``data`` as parsed JSON
    :raises CheckpointError: if it is not a model of SB3, or is malicious
    """
    content = _read_member(path, "data", _LARGEST_DATA_BYTES)
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: data is not JSON ({type(error).__name__})") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: data is a JSON {type(data).__name__}, expected an object")
    return data


def read_tensors(path: Path, name: str) -> dict[str, Any]:
    """
    :param path: a ``model.zip``
    :param name: name of a state dict, such as ``policy`` or ``policy.optimizer``
    :return: its tensors and plain values, on the CPU
    :raises CheckpointError: if there is no such member, or it contains anything else
    """
    content = _read_member(path, f"{name}.pth", None)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_members(archive, len(content), _TORCH_MEMBERS, _MOST_TORCH_MEMBERS, largest_ratio=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols that no file of SB3 has
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {name}.pth: {error}") from error
    except Exception as error:  # torch and pickle can raise anything on a manipulated file
        raise CheckpointError(f"{path}: {name}.pth contains more than tensors ({type(error).__name__})") from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path}: {name}.pth contains a {type(loaded).__name__}, expected a state dict")
    return loaded


def list_state_dicts(path: Path) -> list[str]:
    """
    :param path: a ``model.zip``
    :return: names of its state dicts, for :func:`read_tensors`
    :raises CheckpointError: if it is not a model of SB3, or is malicious
    """
    with _open_archive(path) as archive:
        return [name.removesuffix(".pth") for name in archive.namelist() if name.endswith(".pth")]


def _read_member(path: Path, name: str, largest_bytes: int | None) -> bytes:
    with _open_archive(path) as archive:
        try:
            entry = archive.getinfo(name)
            if largest_bytes is not None and entry.file_size > largest_bytes:
                raise CheckpointError(f"{path}: {name} has {entry.file_size} bytes, more than {largest_bytes}")
            return archive.read(entry)
        except KeyError:
            raise CheckpointError(f"{path} is not a model of SB3: it has no member {name}") from None
        except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError, zlib.error) as error:
            raise CheckpointError(f"{path}: {name} is damaged ({type(error).__name__})") from error


def _open_archive(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(f"{path} is not a readable zip file ({type(error).__name__})") from error
    try:
        _check_members(archive, path.stat().st_size, _MODEL_MEMBERS, _MOST_MODEL_MEMBERS, largest_ratio=_LARGEST_RATIO)
    except CheckpointError as error:
        archive.close()
        raise CheckpointError(f"{path}: {error}") from error
    return archive


def _check_members(
    archive: zipfile.ZipFile, size_bytes: int, names: re.Pattern[str], most: int, *, largest_ratio: int
) -> None:
    entries = archive.infolist()
    if len(entries) > most:
        raise CheckpointError(f"{len(entries)} members, more than {most}")
    for name, count in Counter(entry.orig_filename for entry in entries).items():
        if count > 1:
            raise CheckpointError(f"member {name[:80]!r} is there {count} times")
        if not names.fullmatch(name) or ".." in name.split("/"):
            raise CheckpointError(f"unexpected member {name[:80]!r}")
    if any(entry.flag_bits & 1 for entry in entries):
        raise CheckpointError("encrypted members")
    unpacked_bytes = sum(entry.file_size for entry in entries)
    if unpacked_bytes > largest_ratio * size_bytes or sum(entry.compress_size for entry in entries) > size_bytes:
        raise CheckpointError(f"{size_bytes} bytes claim to unpack to {unpacked_bytes}")
