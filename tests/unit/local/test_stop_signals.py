"""Ctrl-C and a polite kill end a command, whichever of its threads the signal meets."""

import signal
import sys
from threading import Event, Thread, get_ident, main_thread

import pytest

from workbench.cli.stop_signals import stop_signals

LONGEST_S = 20


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_whoever_waits_is_told_of_a_signal_that_meets_another_thread(sent: signal.Signals) -> None:
    started = Event()

    def meet_the_signal() -> None:
        started.wait()
        while sys._current_frames()[main_thread().ident or 0].f_code.co_name != "wait":
            pass
        signal.pthread_kill(get_ident(), sent)

    with stop_signals() as stopped:
        assert not stopped.wait(0)
        other = Thread(target=meet_the_signal)
        other.start()
        started.set()
        assert stopped.wait(LONGEST_S)
        other.join()
        assert stopped.is_set
        assert stopped.wait()


def test_the_same_signal_in_the_same_moment_counts_once() -> None:
    with stop_signals() as stopped:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert stopped.wait(LONGEST_S)


def test_a_second_one_a_moment_later_ends_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr("workbench.cli.stop_signals.time.monotonic", lambda: now)
    with stop_signals() as stopped:
        signal.raise_signal(signal.SIGINT)
        assert stopped.is_set
        now += 2
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_what_was_there_before_handles_signals_again() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stop_signals():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
