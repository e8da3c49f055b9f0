"""How a stream's columns grow: by what its project file declares, and by what its records hold."""

from __future__ import annotations

from penstock.errors import UsageError
from penstock.schema import Column, Schema, name_columns
from penstock.spec import StreamSpec


def with_declared(schema: Schema, spec: StreamSpec) -> Schema:
    """``schema`` with a column for each declared field that has none.

    Raises:
        UsageError: a field is declared as another type than its column has.
    """
    types = {c.field: c.type for c in schema.columns if not c.variant}
    for field, type_ in spec.declared:
        if types.get(field, type_) != type_:
            raise UsageError(
                f"stream {spec.stream}: field {field!r} is declared {type_}, and its column is {types[field]}",
                fix=f"declare it {types[field]}; a column keeps its type; for another, penstock reset {spec.stream}"
                " starts the stream anew",
            )
    new = [(f, t) for f, t in spec.declared if f not in types]
    names = name_columns([f for f, _ in new], schema.names)
    return schema.grown(Column(field=f, name=names[f], type=t, declared=True) for f, t in new)
