"""What the package logs, on the terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click


class _ConsoleHandler(logging.Handler):
    """Writes to the current ``sys.stderr``: a progress bar redirects it to print above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        # Not click.echo, which looks behind that and writes into the bar.
        print(self.format(record), file=sys.stderr, flush=True)


@contextmanager
def show_log(*, quiet: bool, verbose: bool) -> Iterator[None]:
    """
    Print the package's log, and warnings of others that are logged, to the terminal, for the length of a block.

    :param quiet: warnings and errors only
    :param verbose: everything, with the name of the module that logs it
    """
    handler = _ConsoleHandler(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s" if verbose else "%(message)s"))
    package_logger, warnings_logger = logging.getLogger("sb3_ext"), logging.getLogger("py.warnings")
    level_before = package_logger.level
    package_logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    for logger in (package_logger, warnings_logger):
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in (package_logger, warnings_logger):
            logger.removeHandler(handler)
        package_logger.setLevel(level_before)


def confirm(question: str) -> None:
    """
    Ask before something that cannot be undone.

    :param question: to be answered with yes or no
    :raises click.Abort: if the answer is no
    :raises click.UsageError: if there is no input to answer with
    """
    try:
        agreed = click.confirm(question)
    except click.Abort:
        raise click.UsageError("no answer; add --yes to skip the question") from None
    if not agreed:
        raise click.Abort
