"""The Spark session in which models are built, and what dbt has to know of it.

There is one in a process, as Spark wants it, and it is kept: it takes seconds to start. dbt's adapter takes whichever
session is there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from penstock.destinations.spark.catalogs import NAME
from penstock.destinations.spark.spark_catalog import catalog_conf
from penstock.errors import DestinationError, UsageError

if TYPE_CHECKING:
    from penstock.project import Spark

ANSI = "spark.sql.ansi.enabled"
_ON_THIS_MACHINE = re.compile(r"local\b")
_LOOPBACK = "127.0.0.1"
_SHUFFLES = "8"
"""On one machine; Spark's own 200 are for clusters, and each costs a task."""
_OF_JAVA = re.compile(r"spark\.(master$|driver\.|jars|submit\.)")
_HIDDEN = "(?i)secret|password|token|access[.-]?key|credential|account[.-]?key"
"""Names whose values Spark does not show: its own rule, and those of catalogs and stores."""
_SECRET = re.compile(_HIDDEN)
_opened: tuple[Mapping[str, str], Any] | None = None
_java: Any = None
"""The process of Java, which outlives a session that is ended for another."""
_log = TemporaryFile()  # noqa: SIM115 - it is there as long as the process
"""What Java prints while it starts: nothing of it is for whoever runs a command, unless it does not start."""


def configuration(settings: Spark) -> dict[str, str]:
    """What a session for these tables is started with. It holds the secrets of the catalog and the store, such as
    the password of the ledger's database, under names that Spark masks.

    Raises:
        UsageError: models cannot be built with such settings yet.
    """
    expect_supported(settings)
    catalog = f"spark.sql.catalog.{NAME}"
    conf = {
        "spark.master": settings.spark.master,
        "spark.app.name": "penstock",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "OFF",  # what fails is raised here; its own log would quote values
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.defaultCatalog": NAME,
        catalog: "org.apache.iceberg.spark.SparkCatalog",
        # in memory, so that no metastore of Hive's is made where the process runs
        "spark.sql.catalogImplementation": "in-memory",
        "spark.redaction.regex": _HIDDEN,
        **catalog_conf(settings, f"{catalog}."),
    }
    if _ON_THIS_MACHINE.match(settings.spark.master):
        # nobody else has to reach it
        conf.update({"spark.driver.host": _LOOPBACK, "spark.driver.bindAddress": _LOOPBACK})
        conf["spark.sql.shuffle.partitions"] = _SHUFFLES
    if settings.spark.jars:
        jars = [str(path) for path in settings.spark.jars]
        conf["spark.jars"] = ",".join(jars)
        conf["spark.driver.extraClassPath"] = os.pathsep.join(jars)
    if settings.spark.packages:
        conf["spark.jars.packages"] = ",".join(settings.spark.packages)
    conf.update(settings.spark.conf)
    # what the macros rely on, and the same answers as other engines give
    conf.update(
        {
            ANSI: "true",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.timestampType": "TIMESTAMP_NTZ",
            "spark.sql.legacy.storeAnalyzedPlanForView": "true",
            # loads commit snapshots that Spark would not see for half a minute
            f"{catalog}.cache-enabled": "false",
        }
    )
    return conf


def profile() -> dict[str, Any]:
    """The output of dbt's profile: the session that is there, and one model at a time, since views of one session
    have one name."""
    return {"type": "spark", "method": "session", "host": "localhost", "schema": "default", "threads": 1}


def open_session(settings: Spark) -> Any:
    """The process's session, for these tables; one for others is ended.

    Raises:
        DestinationError: Spark cannot be started.
        UsageError: pyspark or dbt-spark is not installed, or models cannot be built with such settings yet.
    """
    global _opened
    try:
        import_module("dbt.adapters.spark")
        from pyspark import SparkContext
        from pyspark.sql import SparkSession
    except ImportError as e:
        raise UsageError(
            f"models on Spark need {e.name}, which is not installed",
            where=settings.address,
            fix="pip install 'pyspark>=3.5,<4' 'dbt-spark>=1.11,<1.12'",
        ) from None
    conf = configuration(settings)
    if _opened is not None and _opened[0] == conf and _lives(_opened[1]):
        return _opened[1]
    if _opened is not None:
        with suppress(Exception):  # it may have died
            _opened[1].stop()
        _opened = None
    builder = SparkSession.builder.config(map=conf)
    try:
        if SparkContext._active_spark_context is None:  # noqa: SLF001 - of all threads, unlike the active session
            _start(conf)
        session = builder.getOrCreate()
        session.sql(f"show namespaces in {NAME}").collect()
    except Exception as e:  # noqa: BLE001 - whatever Java has to say
        raise DestinationError(
            f"Spark cannot be started: {_last_words() or str(e).strip().splitlines()[0]}",
            where=settings.spark.master,
            fix="penstock doctor; spark.jars or spark.packages need Iceberg's runtime, and with catalog: postgres"
            " PostgreSQL's JDBC driver",
        ) from None
    _opened = (conf, session)
    return session


def _lives(session: Any) -> bool:
    """Whether statements can be run in a session. What is the active one, Spark says of a thread alone."""
    try:
        return not session.sparkContext._jsc.sc().isStopped()  # noqa: SLF001 - there is no other word of it
    except Exception:  # noqa: BLE001 - of a Java that has ended, too
        return False


def _start(conf: Mapping[str, str]) -> None:
    """Start Spark. Java's command line, which whoever is on the machine can read, has what Java itself is started with;
    all else, with passwords and keys of stores, goes by its socket."""
    global _java
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway

    if _java is None:
        public = {name: value for name, value in conf.items() if _OF_JAVA.match(name) and not _SECRET.search(name)}
        _java = launch_gateway(SparkConf().setAll(list(public.items())), {"stderr": _log})
    SparkContext(conf=SparkConf().setAll(list(conf.items())), gateway=_java)


def _last_words() -> str:
    """The last line that Java printed, where it has not started; else nothing."""
    if _java is not None:
        return ""
    _log.seek(0)
    return _log.read().decode(errors="replace").strip().rpartition("\n")[2]


def expect_supported(settings: Spark) -> None:
    """Whether models can be built with these settings.

    Raises:
        UsageError: not yet.
    """
    if settings.spark.remote:
        raise UsageError(
            "not yet: models by Spark Connect", where=settings.address, fix="name spark.master in place of spark.remote"
        )
