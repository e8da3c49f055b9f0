"""The compose files keep their promises: all pinned, checked, bounded, on this machine only, without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock import __version__
from tests.support import compose
from tests.support.compose import ENV_EXAMPLE, OVERRIDE, ROOT, make_env

SERVICES: dict[str, dict[str, Any]] = compose.raw()["services"]
EVERYDAY = {"postgres", "rabbitmq", "penstock"}
ONCE = {"airflow-init", "grants", "metabase-sync"}
SECRET = re.compile(r"PASS|SECRET|_KEY$|_CONN$|RABBITMQ_URL")


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """What ``scripts/make_env`` makes."""
    return make_env(tmp_path)


def test_images() -> None:
    """An image is pinned by its whole version; ours have Penstock's."""
    for name, service in SERVICES.items():
        image, _, tag = service["image"].rpartition(":")
        assert re.match(r"v?\d+\.\d+", tag), name
        if "build" in service:
            assert image.startswith("penstock") and tag == __version__
    froms = re.findall(r"(?m)^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    stages = set(re.findall(r"(?m)^FROM \S+ AS (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8")))
    bases = {f for f in froms if f not in stages and f != "scratch"}
    assert bases and all(re.search(r":\d+\.\d+\.\d+-", base) for base in bases)
    assert f'version="{__version__}"' in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_profiles() -> None:
    """Without a profile there are the database, the broker and Penstock."""
    assert {name for name, s in SERVICES.items() if "profiles" not in s} == EVERYDAY
    assert {p for s in SERVICES.values() for p in s.get("profiles", [])} == {"airflow", "metabase", "sync"}


def test_health() -> None:
    """Who stays is checked and started again; who runs once is not. Nobody waits for a check that is not there."""
    for name, service in SERVICES.items():
        check = service.get("healthcheck", {})
        if name in ONCE:
            assert service["restart"] == "no" and "test" not in check, name
        else:
            assert service["restart"] == "unless-stopped", name
            assert check["test"][0] in ("CMD", "CMD-SHELL"), name
            assert {"interval", "timeout", "retries", "start_period"} <= set(check), name
        for other, said in service.get("depends_on", {}).items():
            condition = "service_completed_successfully" if other in ONCE else "service_healthy"
            assert said == {"condition": condition}, f"{name} waits for {other}"
            # who is started has to have whom it waits for started too
            wanted, there = set(service.get("profiles", [])), set(SERVICES[other].get("profiles", []))
            assert not there or wanted <= there, f"{name} waits for {other}, which may not be there"
    waited_for = {o for s in SERVICES.values() for o in s.get("depends_on", {})}
    # `up --wait` takes an end for a failure, unless somebody waits for it
    assert ONCE - waited_for == {"metabase-sync"}


def test_bounds() -> None:
    """Each has limits of memory, processors and logs, and gains no privileges; ours write to nothing that stays."""
    for name, service in SERVICES.items():
        assert {"cpus", "memory"} == set(service["deploy"]["resources"]["limits"]), name
        assert service["logging"]["options"]["max-size"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if service["image"].startswith("penstock:"):
            assert service["read_only"] and service["cap_drop"] == ["ALL"], name
            assert {v["target"] for v in service["volumes"] if v["type"] == "tmpfs"} == {"/tmp", "/project/.penstock"}


def test_ports(variables: dict[str, str]) -> None:
    """A port is open on this machine only, at a number that can be chosen, and no two are the same."""
    found = [p for s in compose.services(variables).values() for p in s.get("ports", [])]
    assert len(found) == 7
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", p) for p in found)
    assert len({p.split(":")[1] for p in found}) == len(found)
    assert all("${" in p for s in SERVICES.values() for p in s.get("ports", []))


def test_volumes() -> None:
    """Volumes are declared, and used; what is mounted of the repository is there, and cannot be written."""
    named: set[str] = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            if isinstance(volume, Mapping):
                assert volume["type"] == "tmpfs"
                continue
            source, _, rest = volume.partition(":")
            if source.startswith("."):
                assert (ROOT / source).exists() and rest.endswith(":ro"), volume
            else:
                named.add(source)
    assert named == set(compose.raw()["volumes"])


def test_secrets(variables: dict[str, str]) -> None:
    """A secret has no default anywhere: without it nothing starts, and the message says what to do."""
    secrets = {n for n, value in compose.variables_of(ENV_EXAMPLE).items() if not value}
    assert len(secrets) == 12
    uses = [*compose.uses(), *compose.uses(OVERRIDE)]
    assert secrets <= {use["name"] for use in uses}
    for use in uses:
        if use["name"] in secrets:
            assert use["how"] == ":?" and "scripts/make_env" in use["word"], use[0]
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if SECRET.search(key):
                assert ":?" in value, f"{name}: {key}"
    for missing in secrets:
        with pytest.raises(compose.Unset, match=f"{missing}: run scripts/make_env"):
            compose.services({**variables, missing: ""})


def test_variables() -> None:
    """``.env.example`` has each variable that the files use, no other, and the defaults that they have."""
    example = compose.variables_of(ENV_EXAMPLE)
    uses = [*compose.uses(), *compose.uses(OVERRIDE)]
    assert {use["name"] for use in uses} == set(example)
    for use in uses:
        if use["how"] in (":-", "-"):
            assert use["word"] == example[use["name"]], use[0]


def test_example_explains() -> None:
    """Each secret has a comment before it."""
    lines = ENV_EXAMPLE.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if line.endswith("=") and not line.startswith("#"):
            before = next(text for text in reversed(lines[:number]) if not re.fullmatch(r"[A-Z_]+=", text))
            assert before.startswith("# ") and not before.startswith("# ---"), line


def test_make_env(tmp_path: Path) -> None:
    """Secrets are made, differ, stand in addresses as they are, and are only their owner's; what is there stays."""
    first = make_env(tmp_path)
    secrets = [first[n] for n, value in compose.variables_of(ENV_EXAMPLE).items() if not value]
    assert len(set(secrets)) == len(secrets)
    assert all(len(s) >= 40 for s in secrets)
    assert all(re.fullmatch(r"\w+", first[n]) for n in first if "PASSWORD" in n)
    assert re.fullmatch(r"[\w-]{43}=", first["AIRFLOW_FERNET_KEY"])
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    text = (tmp_path / ".env").read_text(encoding="utf-8")
    assert "0" not in (first["PENSTOCK_UID"], first["PENSTOCK_GID"])
    # an older file: a secret is missing, another was chosen, and there is a variable of the user's own
    older = re.sub(r"(?m)^METABASE_ENCRYPTION_KEY=.*\n", "", text).replace(first["RABBITMQ_PASSWORD"], "chosen")
    (tmp_path / ".env").write_text(older + "MINE=1\n", encoding="utf-8")
    second = make_env(tmp_path)
    assert second["METABASE_ENCRYPTION_KEY"] not in ("", first["METABASE_ENCRYPTION_KEY"])
    unchanged = first | {"METABASE_ENCRYPTION_KEY": second["METABASE_ENCRYPTION_KEY"], "RABBITMQ_PASSWORD": "chosen"}
    assert second == unchanged | {"MINE": "1"}


def test_override() -> None:
    """Development mounts the project and runs as its owner; it opens nothing, weakens nothing, and has no secret."""
    override = compose.raw(OVERRIDE)["services"]
    assert set(override) <= set(SERVICES)
    for name, service in override.items():
        assert set(service) <= {"volumes", "user", "command"}, name
    mounted = {n for n, s in override.items() if "volumes" in s}
    # whatever has the project inside has it mounted, but for Airflow's API server, which reads none of it
    assert mounted == {n for n, s in SERVICES.items() if "build" in s} - {"airflow-api"}


def test_baked_or_mounted() -> None:
    """The images are built with the folder that development mounts."""
    contexts = {s["build"]["additional_contexts"]["project"] for s in SERVICES.values() if "build" in s}
    override = compose.raw(OVERRIDE)["services"].values()
    sources = {v["source"] for s in override for v in s.get("volumes", [])}
    assert contexts == sources == {"${PENSTOCK_PROJECT:-./examples/user_events}"}


def test_project_name() -> None:
    """The roles are those of the project that is built in."""
    example = compose.variables_of(ENV_EXAMPLE)
    project = ROOT / example["PENSTOCK_PROJECT"]
    assert yaml.safe_load((project / "penstock.yml").read_text(encoding="utf-8"))["name"] == example["PENSTOCK_NAME"]
    assert (project / f"penstock.{example['PENSTOCK_ENV']}.yml").is_file()
