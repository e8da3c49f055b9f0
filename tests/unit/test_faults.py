"""Fault points: silent unless the environment names them, and then exactly once, at the passage asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

PASSES = "from penstock.faults import fault_point as f\nfor n in range(4): f('other'); f('here'); print(n, flush=True)"


def _pass(fault: str | None, *, timeout: float = 20) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if k != "PENSTOCK_FAULT"}
    if fault is not None:
        environ["PENSTOCK_FAULT"] = fault
    command = [sys.executable, "-c", PASSES]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=timeout, check=False)


def test_nothing_happens_unless_asked() -> None:
    """Without the variable, or with it empty, every place is passed."""
    for fault in (None, ""):
        done = _pass(fault)
        assert (done.returncode, done.stdout.split()) == (0, ["0", "1", "2", "3"])


def test_other_places_are_passed() -> None:
    """A fault at a place that is never passed never happens."""
    assert _pass("elsewhere:kill").returncode == 0


def test_kill_at_the_first_passage() -> None:
    """``kill`` is SIGKILL: no handler, no exit code of our own."""
    done = _pass("here:kill")
    assert (done.returncode, done.stdout.split()) == (-signal.SIGKILL, [])


def test_kill_at_the_nth_passage() -> None:
    """``:3`` counts the passages of that place only."""
    done = _pass("here:kill:3")
    assert (done.returncode, done.stdout.split()) == (-signal.SIGKILL, ["0", "1"])


def test_raise_names_the_place() -> None:
    """``raise`` leaves an error that says where."""
    done = _pass("here:raise:2")
    assert done.returncode == 1 and done.stdout.split() == ["0"]
    assert "RuntimeError: fault at here" in done.stderr


def test_sleep_waits_there() -> None:
    """``sleep`` stays in place, so that a test can look or send a signal meanwhile."""
    environ = {**os.environ, "PENSTOCK_FAULT": "here:sleep:2"}
    with subprocess.Popen([sys.executable, "-c", PASSES], env=environ, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None and child.stdout.readline() == "0\n"
            try:
                child.wait(0.3)
            except subprocess.TimeoutExpired:
                pass
            else:
                raise AssertionError("it did not wait")
        finally:
            child.kill()
