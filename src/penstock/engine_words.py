"""The words that DuckDB, PostgreSQL and their drivers use in messages about values: they tell nothing of a row."""

from __future__ import annotations

WORDS = frozenset(
    """
    device disk i/o permission permitted quota reading space sync truncate write writing
    a about absolute access according add addition after aggregate all allowed already an and another any are argument
    arguments array as associated at attribute attributes available bad base be because been before begin between bit
    bits both boundary but by byte bytes call called can can't cannot case cast casting cause caused change changed
    character characters check child clause code codepoint collation column columns commit committed common complete
    component compare comparison concurrent condition conflict conflicting conflicts constraint contain contained
    contains conversion convert converted converting copy could create created current cursor data database datatype
    date days db decimal declared default defined delete deleted delimiter denied depends destination detail detected
    digit digits dimension dimensions direct division do does doesn't domain don't double duplicate during each
    element elements empty encoding encountered end ended entry equal error errors escape exceed exceeded exceeds
    exception exceptional exclude exclusion exist existing exists expect expected exponent expression expressions
    extra extract failed failing failure fail false few field fields file finite first flag fold follow following for
    foreign format formatting found fraction from full function generated got greater had has have header hex
    hexadecimal hint hour hours if illegal immutable implicit in inconsistent incorrect index indexes infinite infinity
    input insert inserted inside instead integers interval into invalid is isn't it item its json key keys language
    large least left length less like line limit limits list literal logarithm long lossy lower malformed many map match
    matched matches maximum may member memory message minimum minute minutes missing mismatch mixed modify month months
    more must name named names nan near negative nested new no non nonzero not null number numbers numeric numerical
    object of off offset on one only operand operation operator option or order other out output over overflow padding
    parameter parameters parent parenthesis parse parsed parser parsing partition pattern perform perhaps placed
    position positive possible precision preceding primary procedure process produced provided query quote quoted
    quotes raise range read real recognized record recursion reference referenced references referencing regular
    relation representable require required requires result results return returned returning returns revert right
    root round row rows rule same scalar scale second seconds sequence serialization serialize set shift should sign
    signed single size smaller source specification specifier specify sql square start starts statement step still
    stored string strings struct structure subquery subscript substring subtraction such supplied supported surrogate
    syntax system table tables take taking target than that the their there this time timestamp timezone to token too
    trailing transaction trigger truncated try trying tuple two type types unable undefined underflow unexpected
    unicode union unique unit units unknown unrecognized unsigned unsupported unterminated update updated updates upper
    use used user using utf value values variable version view violated violates violating violation was were when
    where which while whitespace will with within without would wrong year years you your zero zone fatal warning
    context statement hint detail queries random behavior reader writer cells parameter portal unnamed multiplication
    inf raised assertion pivot unpivot csv parquet block page not-null
    """.split()  # noqa: SIM905 - two hundred lines of one word each say no more
)
"""In small letters."""

TYPES = frozenset(
    """
    bool boolean tinyint smallint integer int bigint hugeint utinyint usmallint uinteger ubigint uhugeint int2 int4 int8
    int16 int32 int64 int128 uint8 uint16 uint32 uint64 uint128 float float4 float8 real double decimal numeric bignum
    varint varchar text string char bpchar character varying blob bytea bit uuid json jsonb date time timetz timestamp
    timestamptz timestamp_s timestamp_ms timestamp_ns interval array list struct map union enum inet cidr macaddr money
    xml oid name regclass point box line circle path polygon tsvector tsquery int4range int8range numrange tsrange
    tstzrange daterange bytes utf8 utf-8 utf16 latin1
    """.split()  # noqa: SIM905 - as above
)
"""Names of types and encodings, in small letters."""
