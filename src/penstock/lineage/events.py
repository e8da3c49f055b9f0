"""Facts as OpenLineage's events. This module is imported by the thread that sends them."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, RunEvent, RunState
from openlineage.client.event_v2 import Run as LineageRun
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    data_quality_assertions_dataset,
    datasource_dataset,
    error_message_run,
    job_type_job,
    nominal_time_run,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    schema_dataset,
    sql_job,
)

from penstock.errors import redact
from penstock.lineage.facts import Dataset, Event, Field, Run
from penstock.version import __version__

PRODUCER = f"pkg:pypi/penstock@{__version__}"
"""Who says so, as a package URL."""
_DIALECTS = {"duckdb": "duckdb", "postgres": "postgres"}


def run_event(event: Event) -> RunEvent:
    """An event as OpenLineage 2-0-2 has it."""
    return RunEvent(
        eventType=RunState[event.kind],
        eventTime=_moment(event.at),
        run=LineageRun(runId=event.run.id, facets=_run_facets(event)),
        job=Job(namespace=event.run.namespace, name=event.run.job, facets=_job_facets(event)),
        inputs=[_input(dataset) for dataset in event.inputs],
        outputs=[_output(dataset) for dataset in event.outputs],
        producer=PRODUCER,
    )


def _run_facets(event: Event) -> dict[str, Any]:
    facets: dict[str, Any] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            version=__version__,
            name="Penstock",
            openlineageAdapterVersion=version("openlineage-python"),
            producer=PRODUCER,
        )
    }
    if event.parent is not None:
        facets["parent"] = _parent(event.parent, event.root or event.parent)
    if event.nominal is not None:
        start, end = event.nominal
        facets["nominalTime"] = nominal_time_run.NominalTimeRunFacet(
            nominalStartTime=_moment(start), nominalEndTime=None if end is None else _moment(end), producer=PRODUCER
        )
    if event.error is not None:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
            message=redact(event.error), programmingLanguage="Python", producer=PRODUCER
        )
    return facets


def _parent(parent: Run, root: Run) -> parent_run.ParentRunFacet:
    return parent_run.ParentRunFacet(
        run=parent_run.Run(runId=parent.id),
        job=parent_run.Job(namespace=parent.namespace, name=parent.job),
        root=parent_run.Root(
            run=parent_run.RootRun(runId=root.id), job=parent_run.RootJob(namespace=root.namespace, name=root.job)
        ),
        producer=PRODUCER,
    )


def _job_facets(event: Event) -> dict[str, Any]:
    by_dbt = event.what in ("MODEL", "TEST", "SNAPSHOT", "SEED")
    facets: dict[str, Any] = {
        "jobType": job_type_job.JobTypeJobFacet(
            processingType="STREAMING" if event.streaming else "BATCH",
            integration="DBT" if by_dbt else "PENSTOCK",
            jobType=event.what,
            producer=PRODUCER,
        )
    }
    if event.sql:
        space = next((d.namespace for d in event.outputs), "")
        dialect = _DIALECTS.get(space.partition(":")[0])
        facets["sql"] = sql_job.SQLJobFacet(query=redact(event.sql), dialect=dialect, producer=PRODUCER)
    return facets


def _facets(dataset: Dataset) -> dict[str, Any]:
    facets: dict[str, Any] = {
        "dataSource": datasource_dataset.DatasourceDatasetFacet(
            name=dataset.namespace, uri=dataset.uri, producer=PRODUCER
        )
    }
    if dataset.columns:
        fields = [
            schema_dataset.SchemaDatasetFacetFields(name=name, type=type_ or None, ordinal_position=i)
            for i, (name, type_) in enumerate(dataset.columns, 1)
        ]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields, producer=PRODUCER)
    if dataset.made_of:
        facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(
            fields={
                column: column_lineage_dataset.Fields(inputFields=[_from(f) for f in fields])
                for column, fields in dataset.made_of.items()
            },
            producer=PRODUCER,
        )
    return facets


def _from(field: Field) -> column_lineage_dataset.InputField:
    how = column_lineage_dataset.Transformation(
        type="DIRECT", subtype="TRANSFORMATION" if field.masked else "IDENTITY", masking=field.masked
    )
    return column_lineage_dataset.InputField(
        namespace=field.namespace, name=field.dataset, field=field.name, transformations=[how]
    )


def _input(dataset: Dataset) -> InputDataset:
    facets: dict[str, Any] = {}
    if dataset.assertions:
        facets["dataQualityAssertions"] = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
            assertions=[
                data_quality_assertions_dataset.Assertion(
                    assertion=a.test, success=a.passed, column=a.column, severity=a.severity, name=a.name
                )
                for a in dataset.assertions
            ],
            producer=PRODUCER,
        )
    return InputDataset(namespace=dataset.namespace, name=dataset.name, facets=_facets(dataset), inputFacets=facets)


def _output(dataset: Dataset) -> OutputDataset:
    facets: dict[str, Any] = {}
    if dataset.rows is not None:
        facets["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=dataset.rows, size=dataset.bytes, producer=PRODUCER
        )
    return OutputDataset(namespace=dataset.namespace, name=dataset.name, facets=_facets(dataset), outputFacets=facets)


def _moment(at: datetime) -> str:
    """ISO 8601 in UTC; a time without a zone is UTC."""
    aware = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return aware.isoformat(timespec="milliseconds").replace("+00:00", "Z")
