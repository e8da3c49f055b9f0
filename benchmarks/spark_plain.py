"""Plain Spark at work in one process, as somebody would write it by hand: one table, and one ``merge`` a step.

Usage: python -m benchmarks.spark_plain PROJECT_DIRECTORY, then one JSON object a line on standard input. The session is
that of the project, so that both have the same memory and the same settings.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

STATE = """
    select id as user_id, count(*) as events, min(received_at) as first_at, max(received_at) as last_at,
      max(plan_name) as plan_name
"""
"""What is kept of a user, of his events."""

_BUILD = f"""
    create table plain.users using iceberg tblproperties ('write.merge.mode' = 'copy-on-write')
    as {STATE} from raw.user_events where id is not null group by id
"""
_STEP = f"""
    merge into plain.users as kept
    using (
      {STATE} from raw.user_events
      where id in (select id from raw.user_events where _pen_load > {{after}}) group by id
    ) as fresh
    on kept.user_id = fresh.user_id
    when matched then update set *
    when not matched then insert *
"""


def main() -> None:
    """Serve until standard input ends: ``build``, and ``step`` with the last load that is known."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not get between the answers
    from penstock import load_project
    from penstock.destinations.spark.session import open_session
    from penstock.project import Spark

    settings = load_project(Path(sys.argv[1])).destination
    assert isinstance(settings, Spark)
    spark = open_session(settings)
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        started = time.perf_counter()
        if request["do"] == "build":
            spark.sql("create namespace if not exists plain")
            spark.sql("drop table if exists plain.users")
            spark.sql(_BUILD)
        else:
            spark.sql(_STEP.format(after=int(request["after"])))
        answers.write(json.dumps({"seconds": time.perf_counter() - started}) + "\n")


if __name__ == "__main__":
    main()
