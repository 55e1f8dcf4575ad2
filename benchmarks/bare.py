"""What `row_cost` compares with: workers in a bare aiohttp loop that make the same two requests and keep nothing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import aiohttp

from benchmarks.jobs import IN_FLIGHT


async def main(url: str, rows: int) -> None:
    """POST and GET for every row; the answers are read and parsed."""
    numbers = iter(range(rows))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers={"x-goog-api-key": "k"}) as session:
        await asyncio.gather(*(work(session, f"{url}/v1beta/interactions", numbers) for _ in range(IN_FLIGHT)))


async def work(session: aiohttp.ClientSession, url: str, numbers: Iterator[int]) -> None:
    for number in numbers:
        async with session.post(url, json=body(number)) as answer:
            made = await answer.json()
        async with session.get(f"{url}/{made['id']}") as answer:
            got = await answer.json()
        assert got["status"] == "completed", got


def body(number: int) -> dict[str, object]:
    """The request of a row, as the job of the benchmarks renders it."""
    return {
        "labels": {"batchrun-intent": f"bare-{number}"},
        "model": "gemini-3.5-flash",
        "input": f"What is {number} plus {number}?",
        "background": True,
        "store": True,
    }


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
