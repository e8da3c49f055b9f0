"""What a raw table of Iceberg is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema as IcebergSchema
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
)

from penstock.shape.types import decimal_parts

if TYPE_CHECKING:
    from penstock.ports import Target
    from penstock.schema import Schema
    from penstock.spec import StreamSpec

_TYPES: Mapping[str, IcebergType] = {
    "bigint": LongType(),
    "double": DoubleType(),
    "boolean": BooleanType(),
    "date": DateType(),
    "timestamp": TimestampType(),
    "timestamptz": TimestamptzType(),
}
"""Identities are texts of 36 characters, and JSON is text: Spark's SQL has a type for neither."""
PARTITION = "_pen_day"
"""The name of the days that rows are kept apart by; no column can have it."""
_DAYS = ("date", "timestamp", "timestamptz")

PROPERTIES: Mapping[str, str] = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    # so that statistics of sorted identities tell groups of rows apart
    "write.parquet.row-group-limit": "32768",
    # the statistics that loads go by. PyIceberg makes bounds of Python's values, which has none for the far ends of
    # time and for some texts: of other columns files have counts, and groups of their rows the bounds of Parquet
    "write.metadata.metrics.default": "counts",
    "write.metadata.metrics.column._pen_id": "truncate(16)",
    "write.metadata.metrics.column._pen_load": "full",
    # many small commits leave as many manifests and as many versions of the metadata
    "commit.manifest-merge.enabled": "true",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "50",
}


def iceberg_type(type_: str) -> IcebergType:
    """The Iceberg type of a column of one of our types."""
    parts = decimal_parts(type_)
    return DecimalType(*parts) if parts else _TYPES.get(type_, StringType())


def own_columns(target: Target) -> dict[str, IcebergType]:
    """The columns of a raw table beside those of its schema."""
    columns: dict[str, IcebergType] = {
        "_pen_id": StringType(),
        "_pen_load": LongType(),
        "_pen_loaded_at": TimestamptzType(),
        "_pen_origin": StringType(),
        "_pen_rescued": StringType(),
    }
    if target.spec.raw_json:
        columns["_pen_json"] = StringType()
    if target.spec.content:
        columns["_pen_content"] = StringType()
    if target.spec.versioned:
        columns["_pen_version"] = StringType()
    return columns


def table_schema(schema: Schema, target: Target) -> IcebergSchema:
    """The columns of a new raw table."""
    columns = {c.name: iceberg_type(c.type) for c in schema.columns} | own_columns(target)
    fields = [NestedField(i, name, type_, required=False) for i, (name, type_) in enumerate(columns.items(), 1)]
    return IcebergSchema(*fields)


def day_column(schema: Schema, spec: StreamSpec) -> str | None:
    """The column by whose days a stream's rows are kept apart; None where there is none."""
    for column in schema.columns:
        if column.field == spec.event_time and not column.variant and column.type in _DAYS:
            return column.name
    return None


def fixes(spec: StreamSpec, field: str | None) -> bool:
    """Whether two records of one identity have the same value in a field, so that the days of one that is a time tell
    where a record can be that comes again."""
    return field is not None and not spec.message and (not spec.identity or field in spec.identity)


def day_partition(schema: IcebergSchema, column: str | None) -> PartitionSpec:
    """Rows of a day together."""
    if column is None:
        return UNPARTITIONED_PARTITION_SPEC
    field = schema.find_field(column)
    return PartitionSpec(PartitionField(field.field_id, 1000, DayTransform(), PARTITION))


def properties(day: str | None) -> dict[str, str]:
    """Those of a new table whose rows are kept apart by the days of a column."""
    return {**PROPERTIES, **day_metrics(day)}


def day_metrics(day: str | None) -> dict[str, str]:
    """The property that has files tell between which moments their rows are."""
    return {} if day is None else {f"write.metadata.metrics.column.{day}": "full"}


def sorted_by_identity(schema: IcebergSchema) -> SortOrder:
    """Rows of a file in the order of their identities."""
    return SortOrder(SortField(schema.find_field("_pen_id").field_id, IdentityTransform()))
