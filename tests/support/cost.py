"""What tests cost: the processor seconds of the process and of all that it started, servers too; those of the servers
that processes of xdist share are told of in one sum.

Unlike the time on the clock, that is the same on a busy machine as on a quiet one. What a test waits for costs as well:
by file, the seconds on the clock in which its tests did not compute stand beside those in which they did.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Generator, Mapping
from operator import itemgetter
from pathlib import Path

import pytest

_TICKS = os.sysconf("SC_CLK_TCK")
_MOMENT_SECONDS = 0.05


def pytest_addoption(parser: pytest.Parser) -> None:
    """How many of them to name."""
    parser.addoption(
        "--costliest", type=int, default=0, help="name the N tests and files that took most of the processor"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Count in each worker, and add up where it is printed."""
    if Path("/proc/self/stat").exists():
        apart = bool(config.getoption("numprocesses", 0))
        config.pluginmanager.register(Costs(config.getoption("costliest"), apart=apart))


class Costs:
    """The seconds by test."""

    def __init__(self, shown: int, *, apart: bool) -> None:
        self._shown = shown
        self._apart = apart
        self._before = processor_seconds()
        self._own = time.process_time()
        self._took = 0.0
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._computed: defaultdict[str, float] = defaultdict(float)
        self._waited: defaultdict[str, float] = defaultdict(float)
        self._durations: defaultdict[str, float] = defaultdict(float)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Give a test's last report the seconds since that of the test before. Whatever it started, a test of a moment
        had no time to make much of it: only what this process computed is looked at, as to look at all takes long."""
        report = yield
        self._took += call.duration
        if report.when == "teardown":
            own = time.process_time()
            seconds = own - self._own
            if self._took >= _MOMENT_SECONDS:
                now = processor_seconds()
                seconds = max(0.0, now - self._before)
                self._before = now
            else:
                self._before += seconds
            self._own, self._took = own, 0.0
            vars(report)["processor_seconds"] = seconds  # xdist hands it on
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up, where xdist has brought the reports of all workers."""
        self._durations[report.nodeid] += report.duration
        if report.when == "teardown":
            seconds: float = getattr(report, "processor_seconds", 0)
            file = report.nodeid.partition("::")[0]
            self._seconds[report.nodeid] += seconds
            self._computed[file] += seconds
            self._waited[file] += max(0.0, self._durations[report.nodeid] - seconds)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name the costliest."""
        if self._shown:
            total = sum(self._seconds.values())
            around = processor_seconds(ended=False) if self._apart else 0.0
            terminalreporter.section(
                f"costliest tests, of {total:.0f} seconds of the processor, and {around:.0f} of shared servers"
            )
            for name, seconds in self._most(self._seconds):
                terminalreporter.write_line(f"{seconds:7.2f} {name}")
            terminalreporter.section("costliest files: computed, waited")
            for file, seconds in self._most(self._computed):
                terminalreporter.write_line(f"{seconds:7.1f} {self._waited[file]:7.1f} {file}")

    def _most(self, seconds: Mapping[str, float]) -> list[tuple[str, float]]:
        return sorted(seconds.items(), key=itemgetter(1), reverse=True)[: self._shown]


def processor_seconds(*, ended: bool = True) -> float:
    """Of this process and of those under it, those that have ended as well when they were waited for; with ``ended``
    false, not those that this process has waited for."""
    ticks, processes = 0, [os.getpid()]
    for pid in processes:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            counted = 15 if ended or pid != os.getpid() else 13
            ticks += sum(int(field) for field in fields[11:counted])
            for task in Path(f"/proc/{pid}/task").iterdir():
                processes += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue  # it ended meanwhile
    return ticks / _TICKS
