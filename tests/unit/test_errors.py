"""The tree of errors: what each asks for, and that none can show a secret."""

from __future__ import annotations

import pytest

from penstock import errors
from penstock.errors import PenstockError, redact

EXIT_CODES = {
    "PenstockError": 1,
    "UsageError": 2,
    "ProjectError": 2,
    "ContractError": 3,
    "SourceError": 4,
    "RefusedMessages": 1,
    "LockedError": 5,
    "MetabaseError": 1,
    "DestinationError": 1,
    "DeliveryError": 1,
    "RefusedDelivery": 1,
    "RejectedRows": 1,
    "LandingBlocked": 1,
    "TransformError": 1,
}


def _classes() -> list[type[PenstockError]]:
    found = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, PenstockError)]
    return sorted(found, key=lambda c: c.__name__)


@pytest.mark.parametrize("class_", _classes(), ids=lambda c: c.__name__)
def test_every_class(class_: type[PenstockError]) -> None:
    """Each says what, where and the fix, keeps them apart, masks secrets in all three, and has its exit code."""
    error = class_("password=hunter2 failed", where="postgresql://u:hunter2@h/d", fix="set pwd: 'hunter2'")
    assert (error.what, error.where, error.fix) == (
        "password=***** failed",
        "postgresql://u:*****@h/d",
        "set pwd: *****",
    )
    assert str(error) == "postgresql://u:*****@h/d: password=***** failed\n  fix: set pwd: *****"
    assert "hunter2" not in repr(error)
    assert error.exit_code == EXIT_CODES[class_.__name__]
    assert class_.__name__ in str(errors.__doc__) and class_.__doc__


def test_parts_may_be_left_out() -> None:
    """Without a place or a fix, only the sentence is left."""
    assert str(PenstockError("it broke")) == "it broke"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p%40ss@h/d", "postgresql://u:*****@h/d"),
        ("postgresql://:pass@h/d", "postgresql://:*****@h/d"),
        ("postgresql://u:pa/ss:w@h/d", "postgresql://u:*****@h/d"),
        ("postgresql://u:p@ss@h/d", "postgresql://u:*****@h/d"),
        ("amqp://u:pw@h and http://v:qw@i", "amqp://u:*****@h and http://v:*****@i"),
        ("host=h password='a b' user=u", "host=h password=***** user=u"),
        ("?sslmode=require&password=x&user=y", "?sslmode=require&password=*****&user=y"),
        ("TOKEN=abc api_key: def apikey=ghi", "TOKEN=***** api_key: ***** apikey=*****"),
        ("nothing to hide: a:b@c", "nothing to hide: a:b@c"),
        ("postgresql://user@h:5432/d", "postgresql://user@h:5432/d"),
    ],
)
def test_redact(text: str, shown: str) -> None:
    """Passwords in addresses and after their keywords are masked; all else stays."""
    assert redact(text) == shown
