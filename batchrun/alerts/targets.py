"""Tells targets: an address by POST, a command, a dead man's switch. Bounded in time; nothing raises but Untold.

An address may hold a secret: of one that fails only the host is named.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from batchrun import environment
from batchrun.alerts import commands
from batchrun.errors import SpecError
from batchrun.spec.alerting import VARIABLE, TargetSpec, is_safe_url
from batchrun.webhooks.standard import Secrets, secrets_of

#: Seconds that one try, and a command, may take; and those before each try.
_TRY, _COMMAND = 10.0, 30.0
_PAUSES = (0.0, 2.0, 8.0)


class Untold(Exception):
    """A target was not reached. It says why, without the secret parts of an address."""


@dataclass(frozen=True)
class Sender:
    """What is sent with. Commands run in `directory`; `secrets` sign what goes to webhooks, empty for none."""

    directory: Path
    secrets: Secrets

    async def tell(self, target: TargetSpec, news: Mapping[str, Any], at: float) -> None:
        """Tell a target of an alert. Raises Untold."""
        if target.webhook is not None:
            await self._post(address_of(target.webhook), news, at)
        elif target.command is not None:
            await self._run(target.command, news)
        elif target.ping is not None and news["state"] == "begun":
            await ping(target, "/fail", str(news["message"]))

    async def _post(self, url: str, news: Mapping[str, Any], at: float) -> None:
        body = json.dumps(news, ensure_ascii=False).encode(errors="replace")
        name, seconds = str(news["id"]), int(at)
        headers = {"content-type": "application/json", "webhook-id": name, "webhook-timestamp": str(seconds)}
        if self.secrets:
            headers["webhook-signature"] = self.secrets.sign(name, seconds, body)
        await _request(url, body, headers)

    async def _run(self, command: list[str], news: Mapping[str, Any]) -> None:
        given = {f"BATCHRUN_ALERT_{name.upper()}": str(value).replace("\0", "") for name, value in news.items()}
        kept = {name: value for name, value in os.environ.items() if name not in environment.HIDDEN}
        nothing = asyncio.subprocess.DEVNULL
        try:
            with commands.starting():
                process = await asyncio.create_subprocess_exec(
                    *command, cwd=self.directory, env=kept | given, start_new_session=True,
                    stdin=asyncio.subprocess.PIPE, stdout=nothing, stderr=nothing,
                )  # fmt: skip
        except (OSError, ValueError) as error:
            raise Untold(f"{command[0]}: {error}") from None
        await _ended(process, command[0], json.dumps(news, ensure_ascii=False).encode(errors="replace"))


async def _ended(process: asyncio.subprocess.Process, name: str, given: bytes) -> None:
    """Wait for a command. It is killed with all that it has started if it takes too long, or nobody waits any more."""
    try:
        with commands.under_way(process.pid):
            async with asyncio.timeout(_COMMAND):
                await process.communicate(given)
    except TimeoutError:
        raise Untold(f"{name}: it did not end within {_COMMAND:g} s") from None
    finally:
        if process.returncode is None:
            commands.end(process.pid)
            await process.wait()
    if process.returncode:
        raise Untold(f"{name}: exit code {process.returncode}")


async def ping(target: TargetSpec, path: str, said: str = "") -> None:
    """Tell a dead man's switch. Raises Untold."""
    url = address_of(target.ping or "")
    parts = urlsplit(url)
    await _request(parts._replace(path=parts.path.rstrip("/") + path).geturl(), said.encode(errors="replace"), {})


async def _request(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    host = urlsplit(url).hostname
    why = ""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TRY), trust_env=True) as session:
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            try:
                async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                    if 200 <= answer.status < 300:
                        return
                    why = f"HTTP {answer.status}"
                    if answer.status < 500 and answer.status not in (408, 429):
                        break
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                why = _why(error)
    raise Untold(f"{host}: {why}")


def _why(error: Exception) -> str:
    """The system's words, else the kind of error: its own words may quote the address."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number and number > 0 else type(error).__name__


def address_of(url: str) -> str:
    """An address with the variables in it replaced. Raises SpecError for one that is not set, or makes no address."""
    for name in VARIABLE.findall(url):
        if not os.environ.get(name):
            raise SpecError(f"alerts.to: the environment has no {name}, which stands in an address.")
    found = VARIABLE.sub(lambda match: os.environ[match[1]], url).strip()
    if not is_safe_url(found):
        raise SpecError(f"alerts.to: {url!r} does not make an address that begins with https://.")
    return found


def alert_secrets() -> Secrets:
    """What alerts are signed with. Raises SpecError for a malformed one."""
    secrets = secrets_of(environment.value_of(environment.ALERT_SECRET))
    if secrets is None:
        raise SpecError(f"{environment.ALERT_SECRET} is no signing secret: whsec_ and base64 of 16 bytes or more.")
    return secrets
