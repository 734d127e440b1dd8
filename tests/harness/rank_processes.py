"""
Run a function on several ranks, as ``torchrun`` does but without its start.

The processes are forked from the one that runs the tests, which has done the imports.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from click.testing import CliRunner

from run_processes import import_before_fork
from sb3_ext.cli import cli

TIMEOUT_SECONDS = 600.0


def find_free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def make_variables(rank: int, size: int, port: int) -> dict[str, str]:
    """:return: the environment variables that torchrun sets"""
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


@contextmanager
def starting_ranks(
    function: Callable[..., Any], *arguments: Any, size: int = 2
) -> Iterator[tuple[list[BaseProcess], list[Connection]]]:
    """Start ``function(*arguments)`` on each rank; the processes end with the block."""
    import_before_fork()
    context = multiprocessing.get_context("fork")
    port = find_free_port()
    processes: list[BaseProcess] = []
    pipes: list[Connection] = []
    for rank in range(size):
        receiver, sender = context.Pipe(duplex=False)
        variables = make_variables(rank, size, port)
        process = context.Process(target=_run, args=(function, arguments, variables, sender))
        process.start()
        sender.close()
        processes.append(process)
        pipes.append(receiver)
    try:
        yield processes, pipes
    finally:
        for process in processes:
            process.kill()
            process.join()


def run_ranks(function: Callable[..., Any], *arguments: Any, size: int = 2) -> list[Any]:
    """Run ``function(*arguments)`` on each rank, and return the results by rank."""
    with starting_ranks(function, *arguments, size=size) as (_processes, pipes):
        return receive(pipes)


def receive(pipes: Sequence[Connection]) -> list[Any]:
    results, errors = [], []
    for rank, pipe in enumerate(pipes):
        assert pipe.poll(TIMEOUT_SECONDS), f"rank {rank} does not end"
        try:
            result, error = pipe.recv()
        except EOFError:
            result, error = None, "the process was killed"
        results.append(result)
        if error is not None:
            errors.append(f"rank {rank}: {error}")
    assert not errors, "\n".join(errors)
    return results


@dataclass(frozen=True)
class CommandEnd:
    """
    :param exit_status: exit status; negative for the signal that killed the process
    :param output: what the command printed
    """

    exit_status: int
    output: str


def run_commands(*arguments: Sequence[str], size: int = 2) -> list[CommandEnd]:
    """Run ``sb3-ext`` on each rank, with the same arguments or with those of each rank, and return how they ended."""
    with starting_ranks(run_command, arguments, size=size) as (processes, pipes):
        ends = []
        for process, pipe in zip(processes, pipes, strict=True):
            assert pipe.poll(TIMEOUT_SECONDS), f"{process} does not end"
            try:
                end, error = pipe.recv()
                assert error is None, error
            except EOFError:
                process.join()
                end = CommandEnd(process.exitcode or 0, "")
            ends.append(end)
        return ends


def run_command(arguments: Sequence[Sequence[str]]) -> CommandEnd:
    own = arguments[int(os.environ["RANK"]) % len(arguments)]
    result = CliRunner().invoke(cli, list(own))
    output = result.output
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        output += "".join(traceback.format_exception(result.exception))
    return CommandEnd(result.exit_code, output)


def _run(function: Callable[..., Any], arguments: Sequence[Any], variables: dict[str, str], pipe: Connection) -> None:
    os.environ.update(variables)
    outcome: tuple[Any, str | None]
    try:
        outcome = function(*arguments), None
    except BaseException:
        outcome = None, traceback.format_exc()
    with contextlib.suppress(BrokenPipeError):
        pipe.send(outcome)
