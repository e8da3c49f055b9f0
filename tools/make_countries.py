"""Makes src/penstock/report/countries.json: the borders of the world's countries with their codes and names.

The borders are Natural Earth's (public domain) at 1:110 million, as the npm package world-atlas has them; codes and
names come from the npm package i18n-iso-countries.

Usage: npm install world-atlas i18n-iso-countries && python tools/make_countries.py node_modules
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ANTARCTICA = "010"
KOSOVO = {"code": "XK", "code3": "XKX", "name": "Kosovo"}


def main(packages: Path) -> None:
    """Write the file."""
    topology = json.loads((packages / "world-atlas" / "countries-110m.json").read_text(encoding="utf-8"))
    codes = json.loads((packages / "i18n-iso-countries" / "codes.json").read_text(encoding="utf-8"))
    said = json.loads((packages / "i18n-iso-countries" / "langs" / "en.json").read_text(encoding="utf-8"))
    names = {code: [n] if isinstance(n, str) else n for code, n in said["countries"].items()}
    by_number = {number: {"code": a2, "code3": a3, "name": names[a2][0]} for a2, a3, number, *_ in codes}
    kept = []
    for geometry in topology["objects"]["countries"]["geometries"]:
        if geometry.get("id") == ANTARCTICA:
            continue
        name = geometry["properties"]["name"]
        properties = by_number.get(geometry.get("id")) or (KOSOVO if name == "Kosovo" else {"code": "", "name": name})
        kept.append({"type": geometry["type"], "arcs": geometry["arcs"], "properties": properties})
    result = {
        "type": "Topology",
        "transform": topology["transform"],
        "arcs": topology["arcs"],
        "objects": {"countries": {"type": "GeometryCollection", "geometries": kept}},
        "names": {n.casefold(): a2 for a2, _, _, *_ in codes for n in names[a2]}
        | {a3.casefold(): a2 for a2, a3, _, *_ in codes}
        | {a2.casefold(): a2 for a2, _, _, *_ in codes},
    }
    text = json.dumps(result, ensure_ascii=False, separators=(",", ":"))
    (ROOT / "src" / "penstock" / "report" / "countries.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
