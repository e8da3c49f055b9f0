"""What a transform is to do, told from what the ledger and the manifest say, without either."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import UsageError
from penstock.transform.layer_part import layer_part
from penstock.transform.layers import Layer
from penstock.transform.manifest import DataTest, Manifest, Resource
from penstock.transform.plan import Facts, Request, TransformPlan, plan_transform

LAYERS = (Layer(name="staging", paths=("models/staging",)), Layer(name="marts", paths=("models/marts",)))


def model(
    name: str, *reads: str, folder: str = "marts", materialized: str = "incremental", marks: bool = True
) -> Resource:
    """A model in a folder."""
    return Resource(
        id=name, name=name, kind="model", schema=folder, table=name, file=f"models/{folder}/{name}.sql",
        materialized=materialized, reads=reads, marks=marks,
    )  # fmt: skip


def data_test(name: str, *reads: str, tag: str = "whole_table") -> Resource:
    """A test of data."""
    return Resource(
        id=name, name=name, kind="test", materialized="test", reads=reads, tags=frozenset({tag}), test=DataTest()
    )


def source(stream: str) -> Resource:
    """The raw table of a stream."""
    return Resource(id=f"raw.{stream}", name=f"raw.{stream}", kind="source", schema="raw", table=stream)


MANIFEST = Manifest(
    {
        resource.id: resource
        for resource in (
            data_test("unique_orders", "orders"),
            data_test("quick", "orders", tag="quick"),
            model("orders", "stg_orders", "customers"),
            model("customers", "raw.people"),
            model("stg_orders", "raw.orders", folder="staging", materialized="view"),
            model("copied", "stg_orders", materialized="table"),
            model("totals", "copied"),
            source("orders"),
            source("people"),
        )
    }
)
KNOWN = Facts(upper_seq=5, seen_seq=3, same_models=True, tested=True, changed=frozenset({"orders"}))


def names(plan: TransformPlan) -> list[str]:
    """What is planned."""
    return [step.name for step in plan.steps]


def test_what_has_landed_is_taken_in() -> None:
    """What reads it is built, each after what it reads; tests of whole tables wait; what reads something else has its
    watermark moved along."""
    plan = plan_transform(Request(), KNOWN, MANIFEST)
    assert names(plan)[0] == "stg_orders" and set(names(plan)) == {"stg_orders", "copied", "totals", "orders", "quick"}
    assert names(plan).index("copied") < names(plan).index("totals")
    assert plan.select == ("source:raw.orders+",) and plan.current == ("marts.customers",)
    assert plan.tests_left_out and {step.why for step in plan.steps} == {"rows of orders have landed"}


def test_nothing_new() -> None:
    """Without news nothing is planned, and the reason is told; a full refresh or a selection is planned as ever."""
    facts = Facts(upper_seq=5, seen_seq=5, same_models=True, tested=True)
    assert plan_transform(Request(), facts, MANIFEST).reason
    assert len(names(plan_transform(Request(full_refresh=True), facts, MANIFEST))) == 7
    assert names(plan_transform(Request(select=("totals",)), facts, MANIFEST, chosen=["totals"])) == ["totals"]


def test_changed_models_and_streams_that_wait() -> None:
    """Models that were changed are all built, but for those of a stream that has no table yet."""
    plan = plan_transform(Request(), Facts(upper_seq=5, seen_seq=5, not_landed=frozenset({"people"})), MANIFEST)
    assert set(names(plan)) == {"stg_orders", "copied", "totals"} and plan.waiting == ("people",)
    assert plan.exclude == ("source:raw.people+",) and not plan.select


def test_a_selection_goes_no_further_than_the_tables_it_reads() -> None:
    """A table that is not selected keeps what reads it where it is; what moves along are only models that are read."""
    plan = plan_transform(Request(select=("totals",)), KNOWN, MANIFEST, chosen=["totals"])
    assert plan.upper_seq == 3 and plan.notes and not plan.current
    plan = plan_transform(Request(select=("orders",)), KNOWN, MANIFEST, chosen=["orders"])
    assert plan.upper_seq == 5 and not plan.notes and plan.current == ("marts.customers",)
    with pytest.raises(UsageError, match="reads copied"):
        plan_transform(Request(select=("totals",)), Facts(changed=KNOWN.changed), MANIFEST, chosen=["totals"])
    days = model("days", "stg_orders", marks=False)
    plan = plan_transform(
        Request(select=("sums",)),
        KNOWN,
        Manifest({**MANIFEST.resources, "days": days, "sums": model("sums", "days")}),
        chosen=["sums"],
    )
    assert plan.upper_seq == 3, "an incremental model that notes no watermark is a table like others"


def test_a_selection_in_a_layer() -> None:
    """A selection is narrowed to the layer, whose tests that read later layers are left out."""
    part = layer_part(MANIFEST, LAYERS, "staging", Path())
    plan = plan_transform(Request(layer="staging", select=("stg_orders+ x",)), KNOWN, MANIFEST, part, ["stg_orders"])
    assert plan.select == ("stg_orders+,path:models/staging", "x,path:models/staging")
    assert plan.exclude == ("fqn:unique_orders", "fqn:quick") and names(plan) == ["stg_orders"]


def test_as_little_as_can_be() -> None:
    """Right after a load models alone are built, and views only when columns have come."""
    plan = plan_transform(Request(lean=True, views=False), KNOWN, MANIFEST)
    assert set(names(plan)) == {"copied", "totals", "orders"}
    assert "stg_orders" in names(plan_transform(Request(lean=True), KNOWN, MANIFEST))
