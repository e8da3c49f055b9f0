"""Follows a model's SQL from the tables that it reads to its result, and stops at the first part that takes rows of
several scopes together.

The rule that is kept: of every table on the way, the rows of one scope are made of nothing but the input rows of that
scope. Then the model's SQL over input that is filtered to some scopes gives just their rows of the whole result. It is
the condition under which a selection can be pushed below each operator of the relational algebra (Garcia-Molina,
Ullman, Widom: Database Systems, 16.2), applied in the other direction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from sqlglot import exp

from penstock.transform.scopes.clauses import Clauses
from penstock.transform.scopes.parts import UnsafePart, compared, conjuncts, normalised, own
from penstock.transform.scopes.sources import Key, Source, Sources
from penstock.transform.scopes.tables import (
    NO_MARKS,
    SCOPE,
    Lookup,
    Made,
    Mark,
    Marks,
    Origin,
    Read,
    Stored,
    Table,
    put_together,
    renamed,
)
from penstock.transform.scopes.words import Words

NO_TABLES: Mapping[str, Table] = MappingProxyType({})
_ONE_SIDED = ("SEMI", "ANTI")


class Reader:
    """Follows queries. ``refs`` are the tables that the model reads: ``schema.table`` → how."""

    def __init__(self, scope: Sequence[str], refs: Mapping[str, Read], dialect: str) -> None:
        self._scope = scope
        self.dialect = dialect
        self.words = Words(scope, refs)
        self._lookups = {name: read for name, read in refs.items() if isinstance(read, Lookup)}
        self._stored = {name: self._opened(name, read) for name, read in refs.items()}

    def query(self, query: exp.Expr, outer: Sources | None = None, ctes: Mapping[str, Table] = NO_TABLES) -> Table:
        """A query as a table.

        Raises:
            UnsafePart: it is not safe, or cannot be followed.
        """
        ctes = self._with(query, outer, ctes)
        if isinstance(query, exp.Subquery | exp.Paren):
            table = self.query(query.this, outer, ctes)
            self.expect_all(query, table)
            return table
        if isinstance(query, exp.SetOperation):
            left, right = self.query(query.left, outer, ctes), self.query(query.right, outer, ctes)
            table = put_together(left, right, by_name=bool(query.args.get("by_name")))
            self.expect_all(query, table)
            return table
        if isinstance(query, exp.Select):
            return _Select(self, query, outer, ctes).table()
        if isinstance(query, exp.Values):
            self.nested(query, Sources(self.dialect, outer), ctes)
            return Made(columns={name.lower(): NO_MARKS for name in query.alias_column_names})
        raise UnsafePart(query, "cannot be followed", "write it as a select")

    def stored(self, table: exp.Table) -> Table:
        """A table of the warehouse."""
        parts = [part.name.lower() for part in table.parts]
        for name, stored in self._stored.items():
            wanted = name.lower().split(".")
            if parts[-len(wanted) :] == wanted or wanted[-len(parts) :] == parts:
                return stored
        raise UnsafePart(
            table, "is read without ref() or source(), so that changes in it go unnoticed", "read it by ref()"
        )

    def nested(self, expression: exp.Expr, sources: Sources, ctes: Mapping[str, Table]) -> None:
        """The queries inside an expression: what they read, they have to read of the scope of the row around them."""
        for query in own(expression, exp.Query):
            table = self.query(query, sources, ctes)
            left = dict(table.depends)
            for dimension in self._by_membership(query, table, sources):
                del left[dimension]
            if left:
                reads = " and ".join(sorted(self.words.tables(dimension) for dimension in left))
                raise UnsafePart(
                    query,
                    f"reads rows of every scope of {reads}",
                    f"compare in it {self.words.columns(left)} with that of the row around it",
                )

    def settles(self, mark: Mark, inner: Marks, other: Marks) -> bool:
        """Whether a column of a table being equal to another settles the table's dimension: by being of one scope with
        that row, or by being what a look-up goes by."""
        if mark not in inner:
            return False
        lookup = self._lookups.get(mark.dimension)
        return mark in other or (lookup is not None and self._goes_by(lookup, mark.number) in other)

    def _goes_by(self, lookup: Lookup, number: int) -> Origin:
        through = next((n for n in self._stored if lookup.through in (n, n.rpartition(".")[2])), None)
        if through is None:
            raise UnsafePart(lookup.through, "is named in sources, but not read by the model", "name one that is")
        return Origin(through, lookup.on[number].lower())

    def _by_membership(self, query: exp.Expr, table: Table, sources: Sources) -> Iterator[str]:
        """The dimensions that are settled by ``x in (select …)``."""
        values = compared(query)
        if values is None or table.names is None:
            return
        pairs = [
            (table.marks(name) or NO_MARKS, sources.marks(value) | sources.around(value))
            for name, value in zip(table.names, values, strict=False)
        ]
        for dimension, width in table.depends.items():
            marks = [Mark(dimension, number) for number in range(width)]
            if all(any(self.settles(mark, *pair) for pair in pairs) for mark in marks):
                yield dimension

    def _opened(self, name: str, read: Read) -> Table:
        if read is None:
            return Stored(name=name)
        if isinstance(read, Lookup):
            theirs = {column.lower(): frozenset({Mark(name, number)}) for number, column in enumerate(read.their)}
            return Stored(name=name, by=theirs, depends={name: len(read.their)})
        by: dict[str, Marks] = {}
        for number, text in enumerate(read):
            expression: exp.Expr = exp.maybe_parse(text, dialect=self.dialect)
            key = normalised(expression, self.dialect)
            by[key] = by.get(key, NO_MARKS) | {Mark(SCOPE, number)}
        return Stored(name=name, by=by, depends={SCOPE: len(self._scope)})

    def _with(self, query: exp.Expr, outer: Sources | None, ctes: Mapping[str, Table]) -> Mapping[str, Table]:
        clause = query.args.get("with_")
        if clause is None:
            return ctes
        known = dict(ctes)
        for cte in clause.expressions:
            name = cte.alias.lower()
            recurs = clause.args.get("recursive") and any(t.name.lower() == name for t in cte.this.find_all(exp.Table))
            if recurs:
                known[name] = Stored(name="")
            names = [column.lower() for column in cte.alias_column_names]
            table = renamed(self.query(cte.this, outer, known), names)
            if recurs and table.depends:
                raise UnsafePart(cte, "is recursive, and may go from one scope to others", self.words.whole_or())
            known[name] = table
        return known

    def expect_all(self, query: exp.Expr, table: Table) -> None:
        """Raise where only some of the rows of a table are taken."""
        for kind in ("limit", "offset", "sample"):
            if (part := query.args.get(kind)) is not None and table.depends:
                why = f"takes some rows of all that there are, of whatever {self.words.columns(table.depends)}"
                raise UnsafePart(part, why, self.words.whole_or("number the rows within a scope by row_number()"))


class _Select:
    """Follows one ``select``."""

    def __init__(self, reader: Reader, select: exp.Select, outer: Sources | None, ctes: Mapping[str, Table]) -> None:
        self._reader = reader
        self._select = select
        self._ctes = ctes
        self._sources = Sources(reader.dialect, outer)

    def table(self) -> Table:
        """It as a table."""
        reader, select = self._reader, self._select
        if (first := select.args.get("from_")) is not None:
            self._read(first.this)
        for lateral in select.args.get("laterals") or ():
            self._read(lateral)
        for join in select.args.get("joins") or ():
            self._join(join)
        where = select.args.get("where")
        self._hold(where)
        for clause in (where, select.args.get("having"), select.args.get("qualify"), *select.expressions):
            if clause is not None:
                reader.nested(clause, self._sources, self._ctes)
        self._settle()
        self._expect_joined()
        depends = {d: width for source in self._sources.tables.values() for d, width in source.depends.items()}
        made = self._made(depends)
        if depends:
            Clauses(select, self._sources, depends, reader.words).expect_one_scope()
            reader.expect_all(select, made)
        return made

    def _read(self, item: exp.Expr) -> Source:
        """One table of the from clause."""
        reader = self._reader
        alias = item.alias_or_name.lower() or f"_{len(self._sources.tables)}"
        if item.args.get("pivots"):
            raise UnsafePart(item, "turns rows into columns", reader.words.whole_or())
        table: Table
        if isinstance(item, exp.Table) and isinstance(item.this, exp.Identifier):
            cte = None if item.args.get("db") else self._ctes.get(item.name.lower())
            table = reader.stored(item) if cte is None else cte
            reader.expect_all(item, table)
        elif isinstance(item, exp.Subquery) and isinstance(item.this, exp.Query):
            table = reader.query(item, self._sources.outer, self._ctes)
        elif isinstance(item, exp.Lateral) and isinstance(item.this, exp.Subquery):
            table = reader.query(item.this, self._sources, self._ctes)
        elif isinstance(item, exp.Subquery):
            raise UnsafePart(item, "cannot be followed", "join without parentheses")
        else:  # rows that a function makes of values, or of the row beside it
            reader.nested(item, self._sources, self._ctes)
            table = Stored(name="")
        names = [name.lower() for name in item.alias_column_names] if not isinstance(item, exp.Values) else []
        if isinstance(item, exp.Values):
            table = Made(columns={name.lower(): NO_MARKS for name in item.alias_column_names})
        source = Source(alias=alias, table=renamed(table, names))
        self._sources.add(source)
        return source

    def _join(self, join: exp.Join) -> None:
        before = list(self._sources.tables.values())
        source = self._read(join.this)
        side, kind = (join.side or "").upper(), (join.kind or "").upper()
        if (join.method or "").upper() == "POSITIONAL" and (source.depends or any(other.depends for other in before)):
            raise UnsafePart(
                join, "pairs rows by their places among all", self._reader.words.whole_or("join by columns")
            )
        condition = join.args.get("on")
        pairs = [pair for part in conjuncts(condition) if (pair := self._pair(part)) is not None]
        for column in join.args.get("using") or ():
            name = column.name.lower()
            self._sources.share(name, source.alias)
            pairs += [
                ((source.alias, name), (other.alias, name)) for other in before if other.table.marks(name) is not None
            ]
        if condition is not None:
            self._reader.nested(condition, self._sources, self._ctes)
        source.hidden = kind in _ONE_SIDED
        if not side and kind not in _ONE_SIDED:
            for one, other in pairs:
                self._sources.equate(one, other)
            return
        self._match(source, before, pairs, side)
        if side in ("LEFT", "FULL"):
            source.nullable = True
        if side in ("RIGHT", "FULL"):
            for earlier in before:
                earlier.nullable = True

    def _match(self, source: Source, before: list[Source], pairs: list[tuple[Key, Key]], side: str) -> None:
        """What an outer join's condition, or that of a semi-join, says of the dimensions of both sides."""
        bare, reader = self._sources.bare, self._reader
        ends = [pair if pair[0][0] == source.alias else pair[::-1] for pair in pairs]
        marks = [(bare(own), bare(other)) for own, other in ends if own[0] == source.alias != other[0]]
        for dimension, width in source.depends.items():
            wanted = [Mark(dimension, number) for number in range(width)]
            if all(any(mark in own and mark in other for own, other in marks) for mark in wanted):
                source.joined.add(dimension)
            elif side not in ("RIGHT", "FULL") and all(any(reader.settles(m, *pair) for pair in marks) for m in wanted):
                source.settled.add(dimension)
        if side == "RIGHT":
            for other_source in before:
                for dimension, width in other_source.depends.items():
                    wanted = [Mark(dimension, number) for number in range(width) if dimension != SCOPE]
                    if wanted and all(any(reader.settles(mark, *pair[::-1]) for pair in marks) for mark in wanted):
                        other_source.settled.add(dimension)

    def _hold(self, where: exp.Expr | None) -> None:
        """Note which columns are equal, by what has to hold for every row."""
        for part in conjuncts(where):
            if (pair := self._pair(part)) is not None:
                self._sources.equate(*pair)

    def _pair(self, condition: exp.Expr) -> tuple[Key, Key] | None:
        if not isinstance(condition, exp.EQ | exp.NullSafeEQ):
            return None
        one, other = self._sources.key(condition.left), self._sources.key(condition.right)
        return (one, other) if one is not None and other is not None else None

    def _settle(self) -> None:
        """Which dimensions are settled: a look-up's by a join, any by being equal to a column of the row around."""
        around: list[tuple[exp.Expr, Marks]] = []
        for part in conjuncts(self._select.args.get("where")):
            if isinstance(part, exp.EQ):
                sides = (part.left, part.right)
                around += [
                    (here, marks) for here, other in (sides, sides[::-1]) if (marks := self._sources.around(other))
                ]
        for source in self._sources.tables.values():
            if source.joined:
                continue
            for dimension, width in source.depends.items():
                wanted = [Mark(dimension, number) for number in range(width)]
                if all(self._is_settled(source, mark, around) for mark in wanted):
                    source.settled.add(dimension)

    def _is_settled(self, source: Source, mark: Mark, around: list[tuple[exp.Expr, Marks]]) -> bool:
        for expression, others in around:
            key = self._sources.key(expression)
            keys = self._sources.equals(key) if key is not None else set()
            marks = [self._sources.bare(k) for k in keys if k[0] == source.alias] or (
                [self._sources.marks(expression)] if self._only(expression, source) else []
            )
            if any(self._reader.settles(mark, own_marks, others) for own_marks in marks):
                return True
        if mark.dimension == SCOPE:
            return False
        return any(
            self._reader.settles(mark, self._sources.bare(one), self._sources.bare(other) - {mark})
            for group in self._sources.equal
            for one in group
            for other in group
            if one[0] == source.alias != other[0]
        )

    def _only(self, expression: exp.Expr, source: Source) -> bool:
        keys = [self._sources.key(column) for column in expression.find_all(exp.Column)]
        return bool(keys) and all(key is not None and key[0] == source.alias for key in keys)

    def _expect_joined(self) -> None:
        """Tables that depend on one dimension have to be of one scope in each row."""
        sources = list(self._sources.tables.values())
        for dimension in {d for source in sources for d in source.depends}:
            width = next(source.depends[dimension] for source in sources if dimension in source.depends)
            beside = [s for s in sources if dimension in s.depends and dimension not in s.joined]
            if len(beside) < 2:
                continue
            for number in range(width):
                if not self._linked(beside, Mark(dimension, number)):
                    column = self._reader.words.column(Mark(dimension, number))
                    names = " and ".join(s.alias for s in beside)
                    why = f"are joined, but not by {column}: a row is made of several scopes"
                    raise UnsafePart(names, why, self._reader.words.whole_or(f"add {column} to the join's condition"))

    def _linked(self, sources: list[Source], mark: Mark) -> bool:
        """Whether one group of equal columns has the mark's column of each table."""
        for group in self._sources.equal:
            marked = {alias for alias, name in group if mark in self._sources.bare((alias, name))}
            if all(source.alias in marked for source in sources):
                return True
        return False

    def _made(self, depends: Mapping[str, int]) -> Made:
        columns: dict[str, Marks] = {}
        stars: list[Table] = []
        for number, expression in enumerate(self._select.expressions):
            if expression.is_star and isinstance(expression, exp.Star | exp.Column):
                star = expression if isinstance(expression, exp.Star) else expression.this
                columns |= {each.alias.lower(): self._sources.marks(each) for each in star.args.get("replace") or ()}
                columns |= {each.alias.lower(): NO_MARKS for each in star.args.get("rename") or ()}
                for source in self._starred(expression):
                    if (names := source.table.names) is None:
                        stars.append(source.table if not source.nullable else Stored(name=""))
                    else:
                        columns |= {
                            name: self._sources.marks(exp.column(name, table=source.alias))
                            for name in names
                            if name not in columns
                        }
                continue
            columns[expression.alias_or_name.lower() or f"_{number}"] = self._sources.marks(expression)
        return Made(columns=columns, depends=depends, stars=stars)

    def _starred(self, star: exp.Expr) -> list[Source]:
        alias = star.table.lower() if isinstance(star, exp.Column) else ""
        return [s for s in self._sources.tables.values() if not s.hidden and alias in ("", s.alias)]
