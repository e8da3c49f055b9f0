"""Records as no program writes them, and as many do: seeded, for telling lanes that should agree apart."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

TYPES = {
    "t": "text",
    "i": "bigint",
    "d": "double",
    "b": "boolean",
    "at": "timestamp",
    "zoned": "timestamptz",
    "day": "date",
    "u": "uuid",
    "j": "json",
    "n": "bigint",
    "money": "decimal(18,4)",
    "many": "decimal(38,0)",
    "ключ": "text",
    "a b": "text",
    'q"k': "text",
    "free": "bigint",
    "when": "timestamp",
    "o_a": "text",
    "o_b": "bigint",
    "o_p_c": "double",
}
"""Fields and the types of their columns."""

_CHARACTERS = 'aZ éß日😀\u200b\x7f/"\\\n\t\x01\x1f\u0800\uffff\ue000{}[],:\xa0\u2028'
_NUMBERS = [
    "-0",
    "-0.0",
    "0.0",
    "0.00",
    "1e5",
    "1E+2",
    "1.5e-3",
    "1e400",
    "-1e-400",
    "01",
    "1.",
    ".5",
    "+1",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e",
    "--1",
    "0x10",
    "1_000",
    "7.0",
    "7.00",
    "7.50",
    "100.0",
    "1e0",
    "123456789012345.6",
    "0.1",
    "0.30000000000000004",
    "9007199254740993",
    "4.35",
    "2.675",
    "1.7976931348623157e308",
    "5e-324",
    "0.00001",
    "0.000001",
    "0.0000001",
    "12345678901234567.0",
    "1234567890123456789.0",
    "1234567890123456789.5",
    "0.5",
    "99999999999999.9999",
    "123456789012345678901234567890.25",
    "9007199254740993.0",
    "9007199254740992.5",
    "1000000000000000.5",
    "0.1234567890123456",
    "0.12345678901234567",
    "0.123456789012345678",
    "4503599627370497.5",
    "10000000000000000.0",
]
_INTEGERS = [0, 1, -1, 7, 42, 2**31, 2**53, 2**53 + 1, -(2**53), -(2**53) - 1, 2**63 - 1, 2**63, -(2**63)]
_INTEGERS += [-(2**63) - 1, 2**64 - 1, 2**64, 10**17, 10**18, 10**19, 10**25, -(10**18), 10**37, 10**38, 10**39]
_ZONES = ["Z", "+00", "+00:00", "-05:30", "+0530", "+14:00", "-12", "z", "+1", "+15:59", "+16:00", "+99", "+01:5"]
_BYTES = bytes([0, 1, 10, 13, 34, 39, 44, 58, 92, 123, 125, 91, 93, 48, 45, 46, 101, 0x80, 0xC0, 0xED, 0xFF, 0xF4, 32])


class OddRecords:
    """A source of bodies, the same for the same seed.

    Args:
        mild: how much of it, from 0 to 1, is as programs write it.
        nested: whether fields of the layout ``o`` come as objects, as a flat stream takes them apart.
    """

    def __init__(self, seed: int, *, mild: float = 0.5, nested: bool = False) -> None:
        self._draw = random.Random(seed)
        self._mild = mild
        self._nested = nested
        self._fields: list[str] = []

    def bodies(self, count: int) -> list[bytes]:
        """The next bodies."""
        return [self._body() for _ in range(count)]

    def _chance(self, of: float) -> bool:
        return self._draw.random() < of

    def _tame(self) -> bool:
        return self._chance(self._mild)

    def _of(self, *makers: Callable[[], str]) -> str:
        return self._draw.choice(makers)()

    def _body(self) -> bytes:
        draw = self._draw
        if not self._fields or self._chance(0.02):
            self._fields = draw.sample(list(TYPES), draw.randint(1, len(TYPES)))
        fields = list(self._fields) if self._chance(0.8) else draw.sample(list(TYPES), draw.randint(0, len(TYPES)))
        if self._chance(0.1 * (1 - self._mild)):
            fields.append(draw.choice(["x", "y", "_pen_id", "", "o", "o.p", "s", "s_t", "o_s", "o.s"]))
        nulls = ["none", "nothing"] if self._chance(0.05) else []
        if fields and self._chance(0.03 * (1 - self._mild)):
            fields.append(draw.choice(fields))
        members = [f"{self._text(f)}{self._sign(':')}{self._value(f)}" for f in fields]
        members += [f"{self._text(f)}{self._sign(':')}null" for f in nulls]
        if self._nested:
            members = [*members, *self._objects()]
            draw.shuffle(members)
        end = "," if self._chance(0.03 * (1 - self._mild)) else ""
        return self._damaged(f"{{{self._sign(',').join(members)}{end}}}".encode("utf-8", "surrogatepass"))

    def _objects(self) -> list[str]:
        """Objects that come apart into fields that have a column, mostly."""
        inner = [f'"a":{self._value("t")}', f'"b":{self._value("i")}', f'"p":{{"c":{self._value("d")}}}']
        inner += ['"s":"hush"', '"s":{"t":[1,{}]}', '"e":{}', '"n":null'][: self._draw.randint(0, 4)]
        self._draw.shuffle(inner)
        parts = [f'"o":{{{self._sign(",").join(inner[: self._draw.randint(0, len(inner))])}}}']
        if self._chance(0.2):
            parts.append(
                self._draw.choice(['"o":{}', '"o.a":"x"', '"s":"hush"', '"s":{"x":"hush"}', '"e":{}', '"l":[]'])
            )
        return parts

    def _damaged(self, body: bytes) -> bytes:
        draw = self._draw
        if self._chance(0.15 * (1 - self._mild)):
            damaged = bytearray(body)
            for _ in range(draw.choice([1, 1, 2, 4])):
                place = draw.randrange(len(damaged) + 1)
                cut, added = draw.choice([(1, 0), (0, 1), (1, 1)])
                damaged[place : place + cut] = bytes([draw.choice(_BYTES)]) * added
            body = bytes(damaged)
        elif self._chance(0.05 * (1 - self._mild)):
            depth = draw.choice([97, 98, 99, 100, 101, 102, 499, 500, 501])
            body = draw.choice(
                [
                    body[: draw.randrange(len(body) + 1)],
                    body + draw.choice([b" {}", b"x", b"\xef\xbb\xbf", b"null", b","]),
                    draw.choice([b"\xef\xbb\xbf", b"[", b" ", b"\n"]) + body,
                    body.replace(b'"', b'"\\u0000', 1),
                    body.replace(b'":', b'\\ud800":', 1),
                    b'{"j":' + b"[" * depth + b"1" + b"]" * depth + b"}",
                    b'{"t":"' + b"x" * draw.choice([99_980, 99_991, 99_992, 99_993, 100_100]) + b'"}',
                ]
            )
        blank = [b"", b" ", b"\t"], [b"\n", b"\r\n", b" ", b" \n"]
        return draw.choice(blank[0]) + body + draw.choice(blank[1]) if self._chance(0.3) else body

    def _sign(self, sign: str) -> str:
        return self._draw.choice(["", "", "", " "]) + sign + self._draw.choice(["", " ", " ", "\t"])

    def _text(self, text: str) -> str:
        written = ""
        for c in text:
            code = ord(c)
            if c in '"\\' or code < 32:
                short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}.get(c)
                written += short if short and self._chance(0.6) else f"\\u{code:04x}"
            elif self._chance(0.04 * (1 - self._mild)):
                pair = code - 0x10000
                written += (
                    f"\\u{code:04X}" if pair < 0 else f"\\u{0xD800 + (pair >> 10):04X}\\u{0xDC00 + (pair & 1023):x}"
                )
            else:
                written += "\\/" if c == "/" and self._chance(0.3) else c
        return f'"{written}"'

    def _words(self) -> str:
        return "".join(
            self._draw.choice(_CHARACTERS) for _ in range(self._draw.choice([0, 1, 3, 8, 15, 16, 17, 33, 60]))
        )

    def _number(self) -> str:
        draw = self._draw
        tame = (
            lambda: str(draw.randint(-(10 ** draw.randint(1, 17)), 10 ** draw.randint(1, 17))),
            lambda: f"{draw.uniform(-1e5, 1e5):.{draw.randint(1, 6)}f}",
            lambda: repr(draw.uniform(-1e3, 1e3)),
            lambda: repr(round(draw.uniform(-1e9, 1e9), 3)),
        )
        if self._tame():
            return self._of(*tame)
        return self._of(
            *tame,
            lambda: str(draw.choice(_INTEGERS)),
            lambda: draw.choice(_NUMBERS),
            lambda: draw.choice(_NUMBERS),
            lambda: str(draw.randint(-(10 ** draw.randint(1, 20)), 10 ** draw.randint(1, 20))),
            lambda: repr(draw.uniform(-10, 10) * 10.0 ** draw.randint(-8, 20)),
            lambda: repr(struct.unpack("d", struct.pack("Q", draw.getrandbits(64)))[0]),
            lambda: f"{draw.randint(-1000, 10 ** draw.randint(1, 14))}.{draw.randint(0, 10 ** draw.randint(1, 20))}",
            lambda: f"0.{'0' * draw.randint(0, 8)}{draw.randint(1, 10 ** draw.randint(1, 17))}",
        )

    def _time(self, *, zone: bool) -> str:
        draw = self._draw
        day = f"{draw.randint(1, 9999):04}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
        text = f"{day}{draw.choice('T ')}{draw.randint(0, 23):02}:{draw.randint(0, 59):02}:{draw.randint(0, 59):02}"
        if self._tame():
            return (
                text
                + draw.choice(["", ".5", ".123456", ".123"])
                + (draw.choice(["Z", "+02:00", "-11"]) if zone else "")
            )
        if self._chance(0.2):
            year = draw.choice([0, 1, 1582, 1900, 1970, 2000, 2024, 9999])
            day = f"{year:04}-{draw.randint(0, 13):02}-{draw.randint(0, 32):02}"
        if self._chance(0.15):
            return day
        text = f"{day}{draw.choice('TT t')}{draw.randint(0, 25):02}:{draw.randint(0, 61):02}"
        if self._chance(0.85):
            text += f":{draw.randint(0, 61):02}"
            text += draw.choice(["", f".{draw.randint(0, 10 ** draw.randint(1, 8))}", "."])
        return text + (draw.choice(["", "", " "]) + draw.choice(_ZONES) if zone or self._chance(0.1) else "")

    def _uuid(self) -> str:
        digits = f"{self._draw.getrandbits(128):032x}"
        text = "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])
        return text.upper() if self._chance(0.3) else text

    def _any(self, depth: int = 0) -> str:
        draw = self._draw
        if depth > 4 or self._chance(0.4):
            return self._scalar()
        if self._chance(0.5):
            return f"[{self._sign(',').join(self._any(depth + 1) for _ in range(draw.randint(0, 4)))}]"
        names = [draw.choice(["a", "b", "c", "z", "é", "aa", '"', "", "s", "t"]) for _ in range(draw.randint(0, 4))]
        numbered = (name + (str(draw.randint(0, 9)) if self._chance(0.7) else "") for name in names)
        members = [self._text(name) + self._sign(":") + self._any(depth + 1) for name in numbered]
        return f"{{{self._sign(',').join(members)}}}"

    def _scalar(self) -> str:
        return self._of(
            lambda: self._text(self._words()),
            self._number,
            lambda: self._draw.choice(["null", "true", "false"]),
            lambda: self._text(self._time(zone=False)),
            lambda: self._text(self._number()),
        )

    def _value(self, field: str) -> str:
        if self._chance(0.1):
            return "null"
        if self._chance(0.12 * (1 - self._mild)):
            return self._any()
        type_ = TYPES.get(field, "json")
        spelt: Sequence[str] = ["true", "false"] if self._tame() else ["true", "false", '"true"', '"FALSE"', "1"]
        makers: dict[str, Callable[[], str]] = {
            "text": lambda: self._text(self._words()) if self._chance(0.8) else self._number(),
            "bigint": lambda: str(self._draw.randint(-(10**6), 10**6)) if self._tame() else self._maybe_spelt(),
            "double": self._maybe_spelt,
            "boolean": lambda: self._draw.choice(spelt),
            "timestamp": lambda: self._text(self._time(zone=False)),
            "timestamptz": lambda: self._text(self._time(zone=True)),
            "date": lambda: self._text(
                self._time(zone=False)[: 10 if self._tame() else self._draw.choice([9, 10, 11])]
            ),
            "uuid": lambda: self._text(self._uuid() if self._chance(0.95) else self._uuid()[:-1]),
            "json": self._any,
        }
        if type_.startswith("decimal") and self._tame():
            return str(self._draw.randint(-(10**9), 10**9)) + ("" if type_.endswith(",0)") else ".25")
        return makers.get(type_, self._maybe_spelt)()

    def _maybe_spelt(self) -> str:
        return self._number() if self._chance(0.5 + self._mild / 2) else self._text(self._number())
