"""The ZIP that Superset imports: a database, a dataset and a chart a question, and a dashboard, as YAML.

Every part's UUID is made of project and name, so that importing again changes what is there. The ZIP says nothing of
the time, and is the same for the same project.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from penstock.bi.sampled_answers import answers_of
from penstock.bi.superset.chart_files import CHART_SIZE, SIZES, chart_of, columns_of
from penstock.bi.warehouse import Reach, reach_of
from penstock.errors import PenstockError, UsageError
from penstock.report.asking import Answer, asking
from penstock.report.models import Models
from penstock.report.questions import read_questions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.project import Project

VERSION = "1.0.0"
"""Of the format."""
ASKED_FOR = "XXXXXXXXXX"
"""In place of a password, it has Superset ask for one."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_ROOT = "penstock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What the ZIP has, and what is wrong with the questions that it has not."""

    path: Path
    charts: Sequence[str]
    database: str
    """The path within the ZIP by which Superset wants to be told the password."""
    problems: Sequence[PenstockError]


def export_superset(project: Project, variables: Mapping[str, str], path: Path) -> Exported:
    """Write the ZIP.

    Raises:
        UsageError: the warehouse is no PostgreSQL, there is no question, or the file cannot be written.
        DestinationError: the warehouse is away.
    """
    reach = reach_of(project, "Superset", variables)
    with asking(project, show_pii=True) as query:
        answers = answers_of(read_questions(project.directory), query, Models(project))
    good = [a for a in answers if a.problem is None]
    problems = [a.problem for a in answers if a.problem is not None]
    if not good and not problems:
        raise UsageError("there are no questions to export", where="questions", fix="write questions/*.sql")
    if good:
        _write(path, zipped(files_of(project.name, reach, good)))
    return Exported(
        path=path, charts=[a.question.name for a in good], database=_database_file(project.name), problems=problems
    )


def files_of(project: str, reach: Reach, answers: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    """Path → the document in it."""
    files: dict[str, dict[str, Any]] = {"metadata.yaml": {"version": VERSION}}
    database = _uuid(project, "database", "")
    files[_database_file(project)] = {
        "database_name": project,
        "sqlalchemy_uri": _uri(reach),
        "expose_in_sqllab": True,
        "allow_dml": False,
        "extra": {"allows_virtual_table_explore": True},
        "uuid": database,
        "version": VERSION,
    }
    for answered in answers:
        question = answered.question
        name, dataset = question.name, _uuid(project, "dataset", question.name)
        file = _file_name(name)
        files[f"datasets/{project}/{file}.yaml"] = {
            "table_name": f"{project}: {name}",
            "description": question.header.question,
            "sql": answered.sql.strip(),
            "columns": columns_of(answered),
            "metrics": [],
            "uuid": dataset,
            "database_uuid": database,
            "version": VERSION,
        }
        kind, parameters = chart_of(answered)
        files[f"charts/{file}.yaml"] = {
            "slice_name": question.header.question,
            "description": question.header.about or None,
            "viz_type": kind,
            "params": {"viz_type": kind, "adhoc_filters": [], **parameters},
            "uuid": _uuid(project, "chart", name),
            "dataset_uuid": dataset,
            "version": VERSION,
        }
    title = project.replace("_", " ").capitalize()
    files[f"dashboards/{project}.yaml"] = {
        "dashboard_title": title,
        "description": f"The answers to the questions of the project {project}.",
        "slug": None,
        "uuid": _uuid(project, "dashboard", ""),
        "position": _position(project, title, answers),
        "metadata": {},
        "version": VERSION,
    }
    return files


def zipped(files: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The documents in a ZIP, below one folder, as Superset wants them."""
    import yaml

    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as bundle:
        for path, document in files.items():
            text = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
            entry = zipfile.ZipInfo(f"{_ROOT}/{path}", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            bundle.writestr(entry, text)
    return held.getvalue()


def _position(project: str, title: str, answers: Sequence[Answer]) -> dict[str, Any]:
    """The dashboard's grid: twelve units a row, as many charts as fit, in their order."""
    document: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "HEADER_ID": {"id": "HEADER_ID", "type": "HEADER", "meta": {"text": title}},
        "ROOT_ID": {"id": "ROOT_ID", "type": "ROOT", "children": ["GRID_ID"]},
    }
    rows = list(_rows(answers))
    names = [f"ROW-{number}" for number in range(1, len(rows) + 1)]
    document["GRID_ID"] = {"id": "GRID_ID", "type": "GRID", "children": names, "parents": ["ROOT_ID"]}
    number = 0
    for row, charts in zip(names, rows, strict=True):
        children = []
        for answered, (width, height) in charts:
            number += 1
            id_ = f"CHART-{number}"
            children.append(id_)
            document[id_] = {
                "id": id_,
                "type": "CHART",
                "children": [],
                "parents": ["ROOT_ID", "GRID_ID", row],
                "meta": {
                    "chartId": number,
                    "uuid": _uuid(project, "chart", answered.question.name),
                    "sliceName": answered.question.header.question,
                    "width": width,
                    "height": height,
                },
            }
        document[row] = {
            "id": row,
            "type": "ROW",
            "children": children,
            "parents": ["ROOT_ID", "GRID_ID"],
            "meta": {"background": "BACKGROUND_TRANSPARENT"},
        }
    return document


def _rows(answers: Sequence[Answer]) -> Iterator[list[tuple[Answer, tuple[int, int]]]]:
    row: list[tuple[Answer, tuple[int, int]]] = []
    for answered in answers:
        size = SIZES.get(chart_of(answered)[0], CHART_SIZE)
        if row and (sum(w for _, (w, _) in row) + size[0] > 12 or row[0][1][1] != size[1]):
            yield row
            row = []
        row.append((answered, size))
    if row:
        yield row


def _uuid(project: str, kind: str, name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"penstock:{project}/{kind}/{name}"))


def _uri(reach: Reach) -> str:
    """As SQLAlchemy has it; never with the password."""
    host = f"[{reach.host}]" if ":" in reach.host else reach.host
    user, database = quote(reach.user, safe=""), quote(reach.database, safe="")
    return f"postgresql+psycopg2://{user}:{ASKED_FOR}@{host}:{reach.port}/{database}?sslmode={reach.sslmode}"


def _database_file(project: str) -> str:
    return f"databases/{project}.yaml"


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as e:
        raise UsageError(
            f"the ZIP cannot be written: {e.strerror or e}", where=str(path), fix="name another file: --output FILE"
        ) from None
