"""Sample APIs: real HTTP servers with made-up data, for examples, tests and benchmarks.

A sample is a function ``create_app(*, records, seed, page_size, …)`` that gives an ASGI application. ``paging``
turns what a request asks for into a page; ``conditions`` puts limits, authentication and faults around any of
them; ``serving`` runs one on the loopback address.
"""

from __future__ import annotations

SAMPLES = ("cars", "users")
"""Each is the module of its name."""
