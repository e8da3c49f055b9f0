"""What tests of metrics share."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from penstock.up.metrics import metric_catalogue


def conform(page: str) -> Mapping[str, Metric]:
    """The metrics of a page by their names, each of which is in the catalogue, of its type, with its labels and help;
    but for those on the process that Prometheus' client has for every program."""
    catalogue = {metric.name: metric for metric in metric_catalogue()}
    found = {}
    for family in text_string_to_metric_families(page):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if name.endswith("_created") or name.startswith("process_"):
            continue
        metric = catalogue[name]
        assert (family.type, family.documentation) == (metric.type, metric.help)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(metric.labels), name
        assert name not in found
        found[name] = family
    return found
