"""
Read W&B's files, ``wandb/*-<id>/run-<id>.wandb``, to find out which rows of a killed process they contain.

They have the format of LevelDB's log: blocks of 32 KiB with records, which are split at the end of a block. The package
``wandb`` has no Python reader since 0.22.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK_BYTES = 32768
_FILE_HEADER = b":W&B"
_FILE_HEADER_BYTES = 7
_RECORD_HEADER = struct.Struct("<IHB")  # checksum, length, kind
_STILL_SECONDS = 2.0
_FULL, _LAST = 1, 4  # the kinds that end a record


def count_rows(directory: Path, run_id: str) -> int:
    """
    :param directory: parent directory of the folder ``wandb``
    :param run_id: W&B's id of the run
    :return: the number of rows of the run's history in all its files
    """
    steps = [row["_step"] for row in read_history(directory, run_id)]
    return int(max(steps)) + 1 if steps else 0


def count_rows_when_still(directory: Path, run_id: str, timeout_seconds: float) -> int:
    """
    Count rows as :func:`count_rows`, once the files no longer change: W&B's own process writes for a moment after the
    training process is killed.

    :param directory: parent directory of the folder ``wandb``
    :param run_id: W&B's id of the run
    :param timeout_seconds: how long to wait
    :return: the number of rows
    """
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        ages = [time.time() - path.stat().st_mtime for path in _list_files(directory, run_id)]
        if not ages or min(ages) > _STILL_SECONDS:
            break
        time.sleep(0.1)
    return count_rows(directory, run_id)


def read_history(directory: Path, run_id: str) -> Iterator[dict[str, Any]]:
    """
    :param directory: parent directory of the folder ``wandb``
    :param run_id: W&B's id of the run
    :return: the rows, with W&B's own values, whose names begin with ``_``
    """
    from wandb.proto.wandb_internal_pb2 import Record

    for path in _list_files(directory, run_id):
        for content in _read_records(path.read_bytes()):
            record = Record()
            record.ParseFromString(content)
            if record.WhichOneof("record_type") == "history":
                yield {
                    item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item
                }


def _list_files(directory: Path, run_id: str) -> list[Path]:
    return sorted(directory.glob(f"wandb/*run-*-{run_id}/run-{run_id}.wandb"))


def _read_records(data: bytes) -> Iterator[bytes]:
    if not data.startswith(_FILE_HEADER):
        return
    position, record = _FILE_HEADER_BYTES, b""
    while True:
        left_in_block = _BLOCK_BYTES - position % _BLOCK_BYTES
        if left_in_block < _RECORD_HEADER.size:
            position += left_in_block
        begin = position + _RECORD_HEADER.size
        if begin > len(data):
            return
        _, size, kind = _RECORD_HEADER.unpack_from(data, position)
        position = begin + size
        if position > len(data):
            return  # the process was killed while it was written
        record += data[begin:position]
        if kind in (_FULL, _LAST):
            yield record
            record = b""
