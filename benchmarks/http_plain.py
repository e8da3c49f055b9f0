"""What fetching alone takes: httpx2 with so many tasks, which throw the answers away.

Usage: python -m benchmarks.http_plain URL PAGES TASKS; prints the seconds from the first request to the last answer.
"""

from __future__ import annotations

import asyncio
import sys
import time

import httpx2


async def main() -> None:
    """Fetch all pages."""
    url, pages, tasks = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    numbers = iter(range(1, pages + 1))

    async def fetch(client: httpx2.AsyncClient) -> None:
        for number in numbers:
            answer = await client.get(f"{url}/records", params={"page": number})
            assert answer.status_code == 200

    async with httpx2.AsyncClient() as client:
        started = time.perf_counter()
        await asyncio.gather(*(fetch(client) for _ in range(tasks)))
        print(time.perf_counter() - started)


if __name__ == "__main__":
    asyncio.run(main())
