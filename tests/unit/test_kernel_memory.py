"""The kernel holds little beside a record's bytes, of however many lists and objects with however many members."""

from __future__ import annotations

import subprocess
import sys

import pytest

MEMBERS = 2_000_000
_SHAPE = """
import sys
import numpy as np, pyarrow as pa
from penstock.native.kernel import kernel
from penstock.native.plan import Field, Given, Left, Plan, Target

def resident(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))

member, ends, count = sys.argv[1].encode(), sys.argv[2].encode(), int(sys.argv[3])
members = b",".join(member % i if b"%" in member else member for i in range(count))
body = b'{"j":' + ends[:1] + members + ends[1:] + b"}"
columns = [Target(field="j", type="json", arrow=pa.string())]
plan = Plan(kernel(), Given(fields=[Field(name="j")], columns=columns, max_bytes=1 << 30))
bodies, orders = pa.array([body], pa.binary()), np.arange(1)
del members
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
before = resident("VmRSS")
rows, left = plan.shape(bodies, orders)
print(len(body), resident("VmHWM") - before, Left(left[0]).name)
"""


@pytest.mark.parametrize(
    ("member", "ends", "times"),
    [
        pytest.param("7", "[]", 3, id="numbers in a list", marks=pytest.mark.slow),
        pytest.param('{"a":1}', "[]", 3, id="objects in a list"),
        pytest.param('"k%d":1', "{}", 6, id="members of an object", marks=pytest.mark.slow),
    ],
)
def test_what_members_take(member: str, ends: str, times: int) -> None:
    """A list takes what its bytes do, as they are written anew, for its column and to be hashed; the members of an
    object, which have to be put in order, as much again."""
    command = [sys.executable, "-c", _SHAPE, member, ends, str(MEMBERS)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    size, more, reason = ended.stdout.split()
    assert reason == "TAKEN"
    assert int(more) < times * int(size) + (4 << 20), f"{int(more) >> 20} MiB more, for {int(size) >> 20} MiB"
