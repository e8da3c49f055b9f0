"""``serve-sample``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from penstock.cli import completion
from penstock.cli.command import Call, command
from penstock.errors import UsageError


@command("penstock serve-sample cars --port 8000", "quiet", name="serve-sample", project=False)
def serve_sample(
    call: Call,
    name: Annotated[str, typer.Argument(help="cars, or users.", autocompletion=completion.samples)],
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes a free one and prints it.")] = 0,
    records: Annotated[
        int, typer.Option("--records", "-n", min=1, max=100_000_000, help="How many each endpoint has.")
    ] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same records and faults.")] = 1,
    page_size: Annotated[int, typer.Option("--page-size", min=1, max=10_000, help="Records a page by default.")] = 100,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="Show everything as it was at the end of this day: 2025-06-30.")
    ] = None,
    faults: Annotated[
        list[str] | None, typer.Option("--faults", help="What goes wrong: 500@3, 429:0.02, reset@5-7, duplicate@4.")
    ] = None,
    rate_limit: Annotated[str | None, typer.Option("--rate-limit", help="Requests allowed: 100/s, 100/m.")] = None,
    auth: Annotated[
        str | None, typer.Option("--auth", help="bearer:SECRET, basic:USER:PASSWORD, header:NAME:SECRET, …")
    ] = None,
    delay: Annotated[float, typer.Option("--delay", min=0, max=600, help="Seconds each answer waits.")] = 0.0,
    gzip: Annotated[bool, typer.Option("--gzip", help="Compress bodies for those who accept it.")] = False,
) -> None:
    """Serve a made-up API on the loopback address, until stopped: for examples, tests and benchmarks."""
    from penstock.samples.conditions import Auth, Conditions, RateLimit
    from penstock.samples.fault_rules import parse_faults
    from penstock.samples.sample_server import sample_app, serve

    conditions = Conditions(
        faults=parse_faults(faults or (), seed),
        auth=None if auth is None else Auth.parse(auth),
        rate_limit=None if rate_limit is None else RateLimit.parse(rate_limit),
        delay_seconds=delay,
        gzip=gzip,
    )
    settings: dict[str, Any] = {"records": records, "seed": seed, "page_size": page_size}
    if as_of is not None:
        settings["as_of"] = _moment(as_of)
    app = sample_app(name, conditions, **settings)
    serve(app, port=port, ready=lambda url: None if call.quiet else print(f"{name}: {url}", flush=True))


def _moment(text: str) -> int:
    from penstock.samples.moments import moment_of

    try:
        return moment_of(text, end_of_day=True)
    except ValueError:
        raise UsageError(f"--as-of {text!r} is no date", fix="write it so: --as-of 2025-06-30") from None
