"""A Penstock project at work in one process: answers ``load`` and ``transform`` with the seconds each took.

Usage: python -m benchmarks.worker PROJECT_DIRECTORY, then one JSON object a line on standard input.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

_SLOWEST = 5


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not get between the answers
    from penstock import Session, load_project
    from penstock.project.steps import LoadStep
    from penstock.transform.perform import Transformer

    project = load_project(Path(sys.argv[1]))
    with Session(project) as session:
        transformer = Transformer(session)
        for line in sys.stdin:
            request: dict[str, Any] = json.loads(line)
            detail: dict[str, Any]
            started = time.perf_counter()
            if request["do"] == "load":
                step = LoadStep(stream=request["stream"], source=request["source"])
                detail = {"landed": session.load(step).total("landed")}
            else:
                built = transformer.run()
                slowest = sorted(built.nodes, key=lambda n: -n.seconds)[:_SLOWEST]
                detail = {
                    "models": built.count("model"),
                    "reason": built.reason,
                    "slowest": {n.name: round(n.seconds, 3) for n in slowest},
                }
            answers.write(json.dumps({"seconds": time.perf_counter() - started, **detail}) + "\n")


if __name__ == "__main__":
    main()
