"""The short set of the canary key, and that a product which tells it is found out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from batchrun.interactions import client
from batchrun.interactions.client import Client
from batchrun.interactions.evidence import Call
from batchrun.interactions.secret import Secret
from tests.reliability.canary import Canary, a_key
from tests.reliability.echoes import ECHOES
from tests.reliability.proofs.canary import called, holders, prove, quoted
from tests.reliability.ways import KINDS


def test_the_key_is_found_nowhere(tmp_path: Path) -> None:
    for figure in prove(tmp_path, full=False):
        assert figure.met, figure.note


def test_there_are_ways_enough_to_quote_a_key() -> None:
    assert len(ECHOES) >= 30


def believe_the_server(patch: pytest.MonkeyPatch) -> None:
    def as_it_is(self: Client, call: Call) -> Call:
        return call

    patch.setattr(Client, "_keyless", as_it_is)


def test_a_client_that_keeps_what_a_server_quotes_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    believe_the_server(monkeypatch)
    found = "\n".join(quoted("500", "POST", a_key()))
    assert "run.db" in found


def show_the_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Secret, "__repr__", lambda self: self.reveal())


def send_plain_headers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(client, "SecretHeaders", httpx.Headers)


@pytest.mark.parametrize("plant", [show_the_key, send_plain_headers])
def test_objects_that_show_the_key_are_found_out(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    plant(monkeypatch)
    assert [*holders(a_key()), *called(KINDS["closed after the request"].way, a_key())]


def test_the_search_finds_a_part_of_the_key_in_any_place(tmp_path: Path) -> None:
    key = a_key()
    canary = Canary(key)
    assert canary(f"at the end of {key[:20]}")
    assert not canary(key[:12])
    (tmp_path / "log").write_text(f"a line with {key}")
    assert [*canary.files(tmp_path)] == ["log"]
    (error,) = (ValueError(f"{{'x-goog-api-key': '{key}'}}"),)
    assert [*canary.errors(error)]
