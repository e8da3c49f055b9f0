"""What Spark has to be given for tests and benchmarks: Iceberg's runtime and PostgreSQL's driver."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from penstock.testing.private import MissingServer

_JDBC = Path("/usr/share/java/postgresql.jar")


def spark_jars() -> list[str]:
    """Iceberg's runtime for Spark 3.5, from the group ``spark``, and PostgreSQL's driver, Debian's.

    Raises:
        MissingServer: names the command that installs what is missing.
    """
    try:
        jars = Path(str(files("snowpark_connect_deps_iceberg"))) / "jars"
    except ModuleNotFoundError:
        raise MissingServer("Iceberg's runtime is not installed", fix="make .venv-spark/spark.stamp") from None
    if not _JDBC.exists():
        fix = "apt-get update && apt-get install -y libpostgresql-jdbc-java (as root)"
        raise MissingServer(f"no PostgreSQL driver for Java at {_JDBC}", fix=fix)
    return [str(next(jars.glob("iceberg-spark-runtime-3.5_2.12-*.jar"))), str(_JDBC)]
