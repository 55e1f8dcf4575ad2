"""What a service in trouble gets to feel of a run: an hour in which every POST is answered with 503, and rate limits.

Retry amplification is what the service has to take in because of the storm: all POSTs that reach it, from the first to
that of the last row, over the POSTs that the same job needs without a storm (one for each row). The job has as many
rows as GSM8K has test questions, and is started again every five minutes while the storm lasts, as by cron.
"""

from __future__ import annotations

from bisect import bisect_left
from contextlib import suppress
from pathlib import Path
from random import Random

from batchrun.errors import Exit
from tests.rehearsal import Rehearsal
from tests.reliability.clocks import Clocks, Died
from tests.reliability.figures import Figure
from tests.reliability.scratch import scratch

ROWS = 1_319
_HOUR, _EVERY = 3_600.0, 300.0
#: The target.
MOST = 1.10
#: Limits of the rate seeds, in POSTs a minute.
_RPM = (6, 20, 60, 240)


def prove(where: Path, *, full: bool) -> list[Figure]:
    """The storm with the default patience, and with a run that waits for its end; then the rate seeds."""
    with scratch() as memory:
        return figures(Path(memory), full=full)


def figures(where: Path, *, full: bool) -> list[Figure]:
    """As `prove`, in this folder."""
    default, patient = amplification(where / "again", calls=8), amplification(where / "patient", calls=1_000)
    seeds = range(1_000 if full else 100)
    over = sum(most > rpm for most, rpm in (worst_window(where / str(seed), seed) for seed in seeds))
    used = min(share_used(where / f"used-{rpm}", rpm) for rpm in _RPM)
    return [
        Figure(
            "retry amplification in one hour of 100 % 503",
            f"at most {MOST:.2f}",
            f"{default:.3f}",
            default <= MOST,
            f"POSTs that reached the service over the {ROWS:,} that the job needs, the run started again every "
            f"{_EVERY / 60:.0f} minutes. One run that waits (`retry.calls`) looks twice a minute: {patient:.3f}",
        ),
        Figure(
            "seeds whose worst 60 s hold more POSTs than limits.rpm",
            f"0 of {len(seeds):,}",
            f"{over} of {len(seeds):,}",
            not over,
            "with refusals, deaths and new starts at once",
        ),
        Figure("share of limits.rpm that is used while there is work", "at least 95 %", f"{used:.1%}", used >= 0.95),
    ]


def amplification(where: Path, *, calls: int) -> float:
    """POSTs that reach the service over those that the job needs; the storm ends after an hour."""
    job = Rehearsal(where, rows=ROWS, retry={"calls": calls})
    job.spec["request"].pop("response_format")
    clock = job.clock = Clocks()
    clock.dies_when = _HOUR
    while clock.now < _HOUR:
        with suppress(Died):
            job.run(faults="503:1.0")
            clock.now += _EVERY
    clock.dies_when = None
    assert job.run().exit_code is Exit.OK
    return len(job.ledger()) / ROWS


def worst_window(where: Path, seed: int) -> tuple[int, int]:
    """The most POSTs of any 60 seconds of a run that is refused, killed and started again at once; and its limit."""
    random = Random(seed)
    rpm = random.choice(_RPM)
    job = Rehearsal(where, rows=min(3 * rpm, 120), limits={"rpm": rpm, "posts": random.randint(1, 16)})
    job.spec["request"].pop("response_format")
    clock = job.clock = Clocks()
    for life in range(6):
        clock.dies_at = round(random.uniform(20, 1_500)) if life < 5 else None
        faults = random.choice((None, "429:0.1", "503:0.1", "429_retry_after=3s:0.1", "drop_before:0.05"))
        with suppress(Died):
            job.run(latency=random.choice(("0ms", "20s")), faults=faults, seed=seed)
    return most_in_a_minute([line["time"] for line in job.ledger()]), rpm


def most_in_a_minute(times: list[float]) -> int:
    """The most of these times in any 60 seconds: from one of them on, and without the one just 60 seconds later."""
    return max(bisect_left(times, at + 60.0 - 1e-6) - n for n, at in enumerate(times))


def share_used(where: Path, rpm: int) -> float:
    """How much of its limit an undisturbed run uses, from its first POST to its last."""
    job = Rehearsal(where, rows=5 * rpm, limits={"rpm": rpm, "in_flight": 5 * rpm})
    job.run(latency="1s")
    times = [line["time"] for line in job.ledger()]
    return (len(times) - 1) / (times[-1] - times[0]) * 60.0 / rpm
