"""Signals as wishes: real ones, sent to this process and to a worker of it."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sb3_ext.runs import signals as signals_module
from sb3_ext.runs.signals import Interrupted, SignalWatch

FORK = """
import os, signal, time
from sb3_ext.runs.signals import SignalWatch
reading, writing = os.pipe()
with SignalWatch() as watch:
    worker = os.fork()
    if worker == 0:
        os.write(writing, b"forked")
        time.sleep(60)
        os._exit(0)
    os.read(reading, 6)
    os.kill(worker, signal.SIGTERM)
    status = os.waitpid(worker, 0)[1]
print(os.waitstatus_to_exitcode(status), watch.received)
"""


@pytest.fixture
def no_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every further signal as a new wish, however soon it comes."""
    monkeypatch.setattr(signals_module, "_REPEAT_SECONDS", 0.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted(number: signal.Signals) -> None:
    with SignalWatch() as watch:
        assert watch.received is None
        signal.raise_signal(number)
        assert watch.received == number.name


@pytest.mark.usefixtures("no_repeats")
def test_the_second_signal_interrupts() -> None:
    with SignalWatch() as watch:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted) as caught:
            signal.raise_signal(signal.SIGINT)

    assert isinstance(caught.value, KeyboardInterrupt)
    assert caught.value.signal_name == watch.received == "SIGTERM"


def test_a_signal_delivered_twice_is_one_wish() -> None:
    with SignalWatch() as watch:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert watch.received == "SIGTERM"


@pytest.mark.usefixtures("no_repeats")
def test_the_end_is_not_interrupted() -> None:
    with SignalWatch() as watch:
        signal.raise_signal(signal.SIGTERM)
        watch.ignore_further()
        signal.raise_signal(signal.SIGTERM)


def test_the_previous_handlers_come_back() -> None:
    def handle(number: int, frame: Any) -> None:
        pass

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with SignalWatch():
            assert signal.getsignal(signal.SIGINT) is not handle
        assert signal.getsignal(signal.SIGINT) is handle
        assert signal.getsignal(signal.SIGTERM) is handle
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def test_outside_the_main_thread_nothing_is_touched() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[Any] = []

    def watch_in_thread() -> None:
        with SignalWatch() as watch:
            seen.extend([signal.getsignal(signal.SIGTERM), watch.received])

    thread = threading.Thread(target=watch_in_thread)
    thread.start()
    thread.join()

    assert seen == [before, None]


def test_a_forked_worker_can_be_terminated(start_python: Callable[..., subprocess.Popen[str]]) -> None:
    output, _ = start_python(FORK).communicate()

    assert output == "-15 None\n"


def test_before_training_the_first_signal_interrupts() -> None:
    with SignalWatch() as watch:
        with pytest.raises(Interrupted, match="interrupted by SIGTERM"), watch.at_once():
            signal.raise_signal(signal.SIGTERM)
        assert watch.received == "SIGTERM"
        with pytest.raises(Interrupted), watch.at_once():  # one that came before
            pass


def test_after_that_the_first_signal_is_a_wish_again() -> None:
    with SignalWatch() as watch:
        with watch.at_once():
            pass
        signal.raise_signal(signal.SIGTERM)
        assert watch.received == "SIGTERM"
