"""Models on Spark: the rows that DuckDB has, step by step, and nothing written where nothing differs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from dbt_common.exceptions import DbtRuntimeError

from penstock.destinations.spark import compacting, tended, views
from penstock.destinations.spark.destination import SparkDestination
from penstock.destinations.spark.expiring import history
from penstock.destinations.spark.session import open_session
from penstock.destinations.spark.tidying import Tidying
from penstock.errors import DestinationError, TransformError
from penstock.project import Spark
from penstock.project.lakehouse import SparkTidy
from penstock.samples.users import AS_OF, user
from penstock.upkeep import TidiedTable
from tests.support.change_sets import Load, Story
from tests.support.cut_off import cut_off
from tests.support.servers import a_database
from tests.support.spark_models import Both, every_mode, random_users, user_events

pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def both(postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Models of every mode; the tests of this module go on where the one before ended."""
    project = every_mode(tmp_path_factory.mktemp("modes"))
    with a_database(postgres_server, ledger_template) as url, closing(Both(project, url)) as opened:
        yield opened


@pytest.fixture(scope="module")
def story() -> Story:
    """What happens to them."""
    return Story(11, incidents=())


def land(both: Both, load: Load) -> None:
    """Have the records of one load land."""
    both.land({"user_events": load.events, "organizations": load.organizations})


def land_next(both: Both, story: Story) -> None:
    """Have what happens next land, until there are events among it."""
    loads: list[Load] = []
    while not any(load.events for load in loads):
        loads += story.next().loads
    for load in loads:
        land(both, load)


def step(both: Both, story: Story) -> None:
    """Have models take in what happens next."""
    land_next(both, story)
    both.models.run()


def test_first_build(both: Both, story: Story) -> None:
    """Models have the rows that they have in DuckDB, as do raw tables."""
    for load in [*story.begin().loads, *story.next().loads]:
        land(both, load)
    both.models.run()
    both.expect_same()


def test_steps_equal_a_full_refresh(both: Both, story: Story) -> None:
    """Late, tied and missing values, renamed organizations, several loads a step: a step leaves what all of the records
    give, and the ledger knows the snapshot of each model."""
    for _ in range(2):
        step(both, story)
        both.expect_same()
    known = both.ledger("select model, step::json ->> 'snapshot' from penstock_lake.models")
    assert dict(known) == {
        name: str(snapshot) for name, snapshot in both.snapshots().items() if not name.startswith("raw.")
    }


def test_again_is_nothing(both: Both) -> None:
    """Models that are built again, since somebody has written the same in other words, write no snapshot."""
    before = both.snapshots()
    model = both.folder / "models" / "modes" / "event_log.sql"
    model.write_text(model.read_text() + "\n-- as before")
    assert not both.models.run().reason
    assert both.snapshots() == before


def test_a_step_whose_end_the_ledger_missed(both: Both, story: Story) -> None:
    """Killed after its snapshots and before the ledger had them, a step is done again, sums too, and writes nothing."""
    before = both.kept()
    step(both, story)
    after = both.snapshots()
    both.forget(before)
    assert not both.models.run().reason
    assert both.snapshots() == after
    both.expect_same()


def test_connections_that_stay(both: Both, story: Story) -> None:
    """Step after step, Spark has no more connections to the ledger's database than after the first."""
    step(both, story)
    open_ones = "select count(*) from pg_stat_activity where datname = current_database()"
    before = both.ledger(open_ones)
    step(both, story)
    assert both.ledger(open_ones) <= before


def test_rows_that_somebody_else_wrote(both: Both, story: Story) -> None:
    """The next step of a model finds another snapshot than it left, and puts right what is in it."""
    settings = both.lake.project.destination
    assert isinstance(settings, Spark)
    open_session(settings).sql("delete from modes.by_organization")
    open_session(settings).sql("insert into modes.by_plan select * from modes.by_plan")
    step(both, story)
    both.expect_same()


def test_snapshots_that_are_gone(both: Both, story: Story) -> None:
    """A model whose input's changes since its last step cannot be told any longer compares all of its rows."""
    settings = both.lake.project.destination
    assert isinstance(settings, Spark)
    land_next(both, story)
    both.models.run(select=["event_log"])
    expire = "call penstock.system.expire_snapshots(table => 'modes.event_log', older_than => timestamp_ltz '{}')"
    open_session(settings).sql(expire.format(datetime.now(UTC).strftime("%F %T")))
    both.models.run()
    both.expect_same()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that Spark is given."""
    cursor = import_module("dbt.adapters.spark.session").Cursor
    execute, statements = cursor.execute, list[str]()

    def execute_it(self: Any, sql: str, *parameters: Any) -> Any:
        statements.append(sql)
        return execute(self, sql, *parameters)

    monkeypatch.setattr(cursor, "execute", execute_it)
    return statements


def changes_read(statements: list[str]) -> set[str]:
    """Of which models changes were read, and not all rows."""
    return {found[1] for sql in statements if (found := re.search(r"create_changelog_view\(table => '([^']+)'", sql))}


def tidied(both: Both) -> dict[str, TidiedTable]:
    """What is done about each table, by snapshots that are old at once."""
    destination = both.lake.destination
    assert isinstance(destination, SparkDestination)
    tidying = Tidying(destination, SparkTidy(max_snapshot_age=timedelta()), dry_run=False)
    return {table.table: table for table in tidying.run(())}


def known(both: Both) -> dict[str, str]:
    """By model, the snapshot that the ledger knows of it."""
    return dict(both.ledger("select model, step::json ->> 'snapshot' from penstock_lake.models"))


def test_tidied(both: Both, story: Story, monkeypatch: pytest.MonkeyPatch, asked: list[str]) -> None:
    """Small files of models are written together, and the ledger knows the snapshots: of each that it or a reader goes
    on from, that one stays and those after it; older ones go, with their files. The next step takes no model for one
    that somebody else wrote: readers read what came and went, as after any other step, and the rows are those of a full
    refresh."""
    monkeypatch.setattr(compacting, "FEWEST", 2)
    step(both, story)
    models = [name for name in both.snapshots() if not name.startswith("raw.")]
    versions = both.ledger("select model, version from penstock_lake.models order by 1")
    read = changes_read(asked)
    done = tidied(both)
    assert set(models) <= set(done)
    assert [table for table in done.values() if table.left or table.error] == []
    rewritten = [name for name in models if done[name].rewritten]
    assert len(rewritten) > 2
    assert all(done[name].files_after < done[name].files_before for name in rewritten)
    assert sum(table.snapshots_expired for table in done.values()) > 0
    assert sum(table.files_removed for table in done.values()) > 0
    now = both.snapshots()
    assert known(both) == {name: str(now[name]) for name in models}
    steps = [json.loads(kept) for (kept,) in both.ledger("select step from penstock_lake.models")]
    for model, snapshot in {item for kept in steps for item in kept["read"].items() if item[1]}:
        table = both.lake.destination.catalog.load_table(tuple(model.split(".")))  # type: ignore[attr-defined]
        assert int(snapshot) in {s.snapshot_id for s in history(table)}
    both.expect_same()
    asked.clear()
    step(both, story)
    assert changes_read(asked) >= read != set()
    assert both.ledger("select model, version from penstock_lake.models order by 1") == versions
    both.expect_same()


def test_tidied_while_a_reader_is_behind(
    both: Both, story: Story, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    """A reader that has not taken in the last step of what it reads reads the changes of it across a rewriting of its
    files, and across none where there is nothing else."""
    monkeypatch.setattr(compacting, "FEWEST", 2)
    step(both, story)
    land_next(both, story)
    both.models.run(select=["event_log"])
    assert tidied(both)["modes.event_log"].rewritten
    versions = both.ledger("select model, version from penstock_lake.models order by 1")
    asked.clear()
    both.models.run()
    assert "modes.event_log" in changes_read(asked)
    assert both.ledger("select model, version from penstock_lake.models order by 1") == versions
    both.expect_same()


@pytest.mark.parametrize("point", ["compaction_committed", "after_compaction"])
def test_tidying_is_cut_off(both: Both, story: Story, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """The snapshot of a rewriting and what the ledger knows are one commit: both are there, or neither."""
    monkeypatch.setattr(compacting, "FEWEST", 2)
    step(both, story)
    for name in [name for name in both.snapshots() if name.startswith("raw.")]:
        list(both.lake.destination.tidy_tables([name.removeprefix("raw.")]))  # type: ignore[attr-defined]
    with cut_off(point):
        tidied(both)
    now = both.snapshots()
    assert known(both) == {name: str(id_) for name, id_ in now.items() if not name.startswith("raw.")}
    both.expect_same()


def test_a_model_that_is_being_built_is_left_alone(both: Both, story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody has the claim on building, files of models stay as they are, and it says so; a step that ends
    while others are being written makes a compaction begin anew."""
    monkeypatch.setattr(compacting, "FEWEST", 2)
    step(both, story)
    before = {name: id_ for name, id_ in both.snapshots().items() if not name.startswith("raw.")}
    with both.lake.destination.claim("transform") as mine, monkeypatch.context() as patient:
        assert mine
        patient.setattr(tended, "MOST_SECONDS", 0.0)
        done = tidied(both)
    assert {name: id_ for name, id_ in both.snapshots().items() if name in before} == before
    assert {done[name].left for name in before if done[name].left} == {
        ("models were built on the same files meanwhile: run it again",)
    }
    passed: list[str] = []

    def builds(name: str) -> None:
        passed.append(name)
        if name == "before_compaction" and passed.count(name) == 1:
            step(both, story)

    monkeypatch.setattr(compacting, "fault_point", builds)
    tidied(both)
    assert known(both) == {name: str(id_) for name, id_ in both.snapshots().items() if not name.startswith("raw.")}
    both.expect_same()


def test_keys_that_rows_share(both: Both, story: Story) -> None:
    """A model whose unique_key is none is refused, and is built anew once it is mended."""
    step(both, story)
    model = both.folder / "models" / "modes" / "keyed.sql"
    sql = "{{ config(unique_key='user_id') }} select user_id, count(*) as events from {{ ref('event_log') }} group by "
    model.write_text(sql + "user_id, event_type")
    for full_refresh in (False, True):
        with pytest.raises(TransformError, match="share a key"):
            both.models.run(select=["keyed"], full_refresh=full_refresh)
    model.write_text(sql + "user_id")
    both.models.run(select=["keyed"])
    query = "select count(*) - count(distinct coalesce(user_id, '')) from modes.keyed"
    assert both.lake.destination.query(query).rows == [(0,)]
    model.unlink()


def test_what_there_is_not_yet(both: Both) -> None:
    """A model that keeps its watermark by a hook is refused in words, before anything of it is built."""
    model = both.folder / "models" / "modes" / "counted.sql"
    config = "{{ config(materialized='incremental') }}"
    model.write_text(config + "{% set window = penstock.window() %} select 1 as one {{ penstock.takes_in(window) }}")
    with pytest.raises(TransformError, match="not yet: models that are `incremental`"):
        both.models.run(select=["counted"])
    model.unlink()


def test_errors_without_values(both: Both, story: Story) -> None:
    """What Spark says of a value that it cannot cast is told without the value."""
    step(both, story)
    model = both.folder / "models" / "modes" / "numbered.sql"
    config = "{{ config(unique_key='number') }}"
    cast = "select cast('secret' || coalesce(max(user_id), '') as bigint) as number"
    model.write_text(f"{config}{cast} from {{{{ ref('event_log') }}}}")
    with pytest.raises(TransformError, match="cannot be cast") as caught:
        both.models.run(select=["numbered"])
    assert "secret" not in str(caught.value)
    model.unlink()
    cursor = import_module("dbt.adapters.spark.session").Cursor()
    cursor.execute("select cast('secret' as bigint)")
    with pytest.raises(DbtRuntimeError, match="cannot be cast") as fetched:
        cursor.fetchall()
    assert "secret" not in str(fetched.value)


def test_views_are_asked(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question about a view has the rows that Spark gives it, beside tables and views of views; one that there is not
    is missing, and one with more rows than can be held is refused."""
    settings = both.lake.project.destination
    assert isinstance(settings, Spark)
    spark = open_session(settings)
    spark.sql(
        "create view modes.kinds as select user_id, count(*) as n, max(received_at) as latest,"
        " cast(null as map<string, int>) as no, collect_set(event_type) as types, array('a') as one"
        " from modes.event_log where user_id is not null group by user_id"
    )
    spark.sql("create view modes.busy as select * from modes.kinds where n > 1")
    spark.sql("create view modes.none as select * from modes.busy where n < 0")
    ask = both.lake.destination.query
    told = "user_id, count(*) as n, max(received_at) as latest"
    assert (
        ask("select user_id, n, latest from modes.kinds order by 1").rows
        == ask(f"select {told} from modes.event_log where user_id is not null group by 1 order by 1").rows
    )
    joined = "from modes.busy as b join modes.event_log as e using (user_id)"
    [(users, events)] = ask(f"select count(distinct b.user_id), count(*) {joined}").rows
    assert users > 0
    assert [(users, events)] == ask("select count(*), sum(n) from modes.busy").rows
    assert ask("select * from modes.none").columns == ["user_id", "n", "latest", "no", "types", "one"]
    assert ask("select count(*) from modes.none").rows == [(0,)]
    with pytest.raises(DestinationError, match="nowhere does not exist"):
        ask("select * from modes.nowhere")
    monkeypatch.setattr(views, "MOST", 1)
    with pytest.raises(DestinationError, match=r"view modes\.kinds has more than 1 rows"):
        ask("select 1 from modes.kinds")
    for view in ("none", "busy", "kinds"):
        spark.sql(f"drop view modes.{view}")


def test_user_events(postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """All models of the first example have the rows that they have in DuckDB, after a first build and after a step."""
    project, story = user_events(tmp_path_factory.mktemp("events")), Story(3, incidents=())
    with a_database(postgres_server, ledger_template) as url, closing(Both(project, url)) as events:
        for change in (story.begin(), story.next()):
            for load in change.loads:
                land(events, load)
            events.models.run()
            events.expect_same()
        events.expect_same_answers()


def test_random_users(postgres_server: str, ledger_template: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The star schema of the other example has the rows that it has in DuckDB, after a first build and after a step."""
    project = random_users(tmp_path_factory.mktemp("users"))
    with a_database(postgres_server, ledger_template) as url, closing(Both(project, url)) as users:
        now = datetime.fromtimestamp(AS_OF, UTC)
        for places in (range(20), range(15, 30)):
            users.land({"users": [user("a seed", place, now) for place in places]})
            users.models.run()
            users.expect_same()
        users.expect_same_answers()
