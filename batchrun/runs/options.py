"""What the command line adds to a job, and above all which service that means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from batchrun.emulator import EmulatorSettings, load_faults, load_replies, parse_latency
from batchrun.errors import SpecError
from batchrun.interactions.client import DEFAULT_BASE_URL, Client
from batchrun.runs.directory import EMULATED, RunDir, run_dir
from batchrun.runs.hearing import Webhooks
from batchrun.runs.service import Tell, address_of, checked_base_url, emulated_client, remote_client
from batchrun.spec.load import Job
from batchrun.store.reader import Reader


@dataclass(frozen=True)
class Options:
    """What the command line adds to a job. `emulator` runs the service in this process; None calls `base_url`.

    `accept_change` allows rows that are asked otherwise than before to be sent again. If it is not `patient` the run
    waits for no answer: it collects what there is, submits what is new, and ends. `seconds` bounds how long it sends.
    Every `looks` seconds it looks for what other processes wish of it (`batchrun pause`, `set`, …), never if None.
    `webhooks` is how it hears those of the service, None if it does not.
    """

    run_dir: Path | None = None
    base_url: str = DEFAULT_BASE_URL
    version: str = "v1beta"
    emulator: EmulatorSettings | None = None
    limit: int | None = None
    seed: int | None = None
    accept_change: bool = False
    patient: bool = True
    seconds: float | None = None
    looks: float | None = 0.5
    webhooks: Webhooks | None = None

    @property
    def target(self) -> str:
        """What a checkpoint calls the service: EMULATED, or its address. Raises SpecError for one that is not safe."""
        return EMULATED if self.emulator is not None else checked_base_url(self.base_url)


def client_for(options: Options, tell: Tell | None = None) -> Client:
    """A client for the chosen service; with `tell` one that streams. Raises CredentialError."""
    if options.emulator is not None:
        return emulated_client(options.emulator, options.version, tell)
    return remote_client(options.base_url, options.version, tell)


def emulator_settings(
    job: Job, chosen: Path | None, latency: str, faults: str | None, replies: str = "synthetic"
) -> EmulatorSettings:
    """An emulator that remembers its interactions in the run directory, so that rehearsals resume. Raises SpecError."""
    directory = run_dir(job, chosen, emulated=True)
    return EmulatorSettings(
        latency=parse_latency(latency),
        faults=load_faults(faults) if faults else (),
        replies=load_replies(replies),
        ledger=directory.emulator_ledger,
        state=directory.emulator_state,
        foreign_signatures=True,  # rows may bring the service's own steps along, and it would know their signatures
    )


def service_of(job: Job, directory: RunDir, base_url: str | None = None, version: str = "v1beta") -> Options:
    """The service that a run was made against. Raises SpecError if there is no run, or if it is another service.

    A remote address has to be given again: a run directory has no say in where the API key goes.
    """
    with Reader(directory.checkpoint, older=True) as reader:
        target = reader.meta("target") or ""
    if target == EMULATED:
        if base_url is not None:
            raise SpecError(f"{directory.path}: this run was made on the emulator; leave out --base-url.")
        settings = emulator_settings(job, directory.path, "0ms", None)
        return Options(directory.path, emulator=settings)
    address = checked_base_url(address_of(base_url))
    if address != target:
        raise SpecError(
            f"{directory.path}: this run was made against {target}, not {address}; nothing was sent. "
            f"If that is right, say so with `--base-url {target}`."
        )
    return Options(directory.path, address, version)
