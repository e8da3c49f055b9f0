"""``docs/metrics.md``: every metric, from the table by which the code counts."""

from __future__ import annotations

from penstock.up.metrics import MetricInfo, metric_catalogue
from tools.reference.markdown import MADE, code, table

_HEAD = f"""\
# Metrics

{MADE.format(source="src/penstock/up/metrics.py")}

In Prometheus' text format. What to do when one of them is out of line: the [runbook](runbook.md).
"""


def metrics_page(_: str) -> str:
    """The page."""
    found = metric_catalogue()
    lines = [_HEAD.rstrip(), "", "## Of a running process", ""]
    lines += ["`GET /metrics` of `penstock up` has them. They count from its start.", ""]
    lines += table(("metric", "type", "labels", "meaning"), (_row(m) for m in found if m.origin == "process"))
    lines += ["", "## Of the ledger", ""]
    lines += ["`GET /metrics` has these too, and so does `penstock metrics`. They outlive the process.", ""]
    lines += table(("metric", "type", "labels", "meaning"), (_row(m) for m in found if m.origin == "ledger"))
    return "\n".join([*lines, ""])


def _row(metric: MetricInfo) -> tuple[str, str, str, str]:
    return code(metric.name), metric.type, ", ".join(code(label) for label in metric.labels), metric.help
