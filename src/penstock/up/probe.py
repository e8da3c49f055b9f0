"""Asks the ``penstock up`` of a folder how it fares: ``python -m penstock.up.probe [/healthz | /readyz]``.

For health checks of containers and services, which run it every few seconds: it starts in some hundredths of a second,
needs no other program, and finds the process by what that wrote down, whatever address and port it took.
"""

from __future__ import annotations

import http.client
import json
import sys
from pathlib import Path

FILE = Path(".penstock") / "up.json"
_SECONDS = 5.0


def probe(path: str, folder: Path) -> tuple[bool, str]:
    """Whether the process answers with 200, and what it says."""
    try:
        place = json.loads((folder / FILE).read_text(encoding="utf-8"))
        connection = http.client.HTTPConnection(place["host"], place["port"], timeout=_SECONDS)
    except (OSError, ValueError, KeyError, TypeError):
        return False, f"no penstock up has written where it answers: {folder / FILE}"
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status == 200, answer.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as e:
        return False, f"{place['host']}:{place['port']} does not answer: {e}"
    finally:
        connection.close()


def main(arguments: list[str]) -> int:
    """0 when it is so, 1 when not."""
    well, text = probe(arguments[0] if arguments else "/healthz", Path.cwd())
    print(text)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
