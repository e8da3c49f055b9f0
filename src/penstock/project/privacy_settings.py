"""What a project says about personal data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from penstock.errors import UsageError
from penstock.project.group import Settings, none
from penstock.project.values import Frozen, named
from penstock.pseudonym import Keys

_MIN_CHARACTERS = 16

KeyNames = named("key", r"[a-z0-9_]{1,16}", "expected small letters, digits and _, at most 16")
SubjectNames = named("kind of person", r"[a-z][a-z0-9_]{0,47}", "expected small letters, digits and _, a letter first")


def _long_enough(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < _MIN_CHARACTERS:
        raise ValueError(f"expected at least {_MIN_CHARACTERS} characters; `openssl rand -base64 32` prints a key")
    return key


Secret = Annotated[SecretStr, AfterValidator(_long_enough)]
SubjectFields = Annotated[
    Mapping[str, Annotated[str, Field(min_length=1)]],
    SubjectNames,
    Frozen,
]


class Privacy(Settings):
    """The keys of pseudonyms. What they stand for can be told by nobody who lacks the key."""

    keys: Annotated[Mapping[str, Secret], KeyNames, Frozen] = Field(default_factory=none)
    """Version → key, at least 16 characters, from a variable: `v1: ${PENSTOCK_PII_KEY_V1}`. A variable that is not set
    is an error of the commands that need it alone. Old keys stay as long as there are erasures under them."""
    current: str | None = None
    """The version that new pseudonyms have. May be left out when there is only one key."""

    def known_keys(self) -> Keys | None:
        """The keys that are set; None when there is none at all."""
        secrets = {version: key.get_secret_value().encode() for version, key in self.keys.items()}
        version = self.current or next(iter(secrets), None)
        return None if version is None else Keys(current=version, secrets=secrets)

    def needed_keys(self, why: str) -> Keys:
        """The keys, for what cannot do without.

        Raises:
            UsageError: the current one is missing; says ``why`` it is needed.
        """
        keys = self.known_keys()
        if keys is None or keys.current not in keys.secrets:
            version = "v1" if keys is None else keys.current
            variable = f"${{PENSTOCK_PII_KEY_{version.upper()}}}"
            raise UsageError(
                f"{why}, and the privacy key {version} is not set",
                where="penstock.yml",
                fix=f"write privacy: {{keys: {{{version}: {variable}}}}}, and set that variable to"
                " what `openssl rand -base64 32` prints; keep it as you keep passwords",
            )
        return keys
