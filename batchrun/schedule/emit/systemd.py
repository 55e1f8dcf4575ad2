"""A service and its timer for systemd (251 or newer). Pure.

systemd starts no second one beside a service that still runs. It reads the key itself and gives it to the service as a
credential: the service's user need not be allowed to read the key's file, and no environment holds the key.
"""

from __future__ import annotations

from collections.abc import Mapping

from batchrun.errors import Exit
from batchrun.schedule.emit.ticking import DAY, HOUR, Ticking, refuse

_CREDENTIAL = "gemini-api-key"
#: systemd takes no program with these in its path.
_NOT_IN_PROGRAM = "\"'\\$"
_NOT_IN_PATH = '"\\'
_TEMPORARY = ("/tmp/", "/var/tmp/")


def files(job: Ticking) -> Mapping[str, str]:
    """The units by name, for /etc/systemd/system."""
    return {f"{unit(job)}.service": service(job), f"{unit(job)}.timer": timer(job)}


def unit(job: Ticking) -> str:
    return f"batchrun-{job.name}"


def service(job: Ticking) -> str:
    """The unit that ticks once. Raises SpecError for what a unit cannot say."""
    refuse(job.program[:1], _NOT_IN_PROGRAM, "a systemd unit's program")
    refuse((job.folder, job.key_file, job.state, *job.writes), _NOT_IN_PATH, "a path in a systemd unit")
    refuse((*job.command, job.user), "", "a systemd unit")
    return f"""[Unit]
Description=batchrun tick: {_literal(job.name)}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={_literal(job.user)}
WorkingDirectory={_literal(job.folder)}
ExecStart={" ".join(map(_word, job.command))}
# {Exit.TRY_LATER:d}: another tick still runs, or the service wants to be asked later. {Exit.SIGINT:d}: it was stopped.
SuccessExitStatus={Exit.TRY_LATER:d} {Exit.SIGINT:d}
# As Ctrl-C: requests that are open are let answer, which takes at most two minutes.
KillSignal=SIGINT
KillMode=mixed
TimeoutStopSec=150
# The key: this file is read by systemd, so it may be root's alone (mode 0600).
LoadCredential={_CREDENTIAL}:{_literal(job.key_file)}
Environment=GEMINI_API_KEY_FILE=%d/{_CREDENTIAL}
Environment={_quoted(f"BATCHRUN_STATE={job.state}")}
UMask=0077
# It may write here and nowhere else. These directories must exist.
ReadWritePaths={" ".join(map(_quoted, job.writes))}
ProtectSystem=strict
{_temporary(job)}
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
CapabilityBoundingSet=
NoNewPrivileges=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
"""


def timer(job: Ticking) -> str:
    """The unit that starts the service, also after a time in which the machine was off."""
    return f"""[Unit]
Description=batchrun tick: {_literal(job.name)}, every {job.every} min

[Timer]
OnCalendar={calendar(job.every)}
Persistent=yes
AccuracySec=10s

[Install]
WantedBy=timers.target
"""


def calendar(every: int) -> str:
    """A calendar event every so many minutes."""
    if every < HOUR:
        return f"*-*-* *:00/{every}:00"
    hours = {HOUR: "*", DAY: "00"}.get(every, f"00/{every // HOUR}")
    return f"*-*-* {hours}:00:00"


def _temporary(job: Ticking) -> str:
    """A /tmp of its own, unless the job is in the one that others see."""
    shared = any(path.startswith(_TEMPORARY) for path in (job.job, *job.program, *job.writes))
    return "ReadWritePaths=/tmp /var/tmp" if shared else "PrivateTmp=yes"


def _literal(text: str) -> str:
    """Text in which systemd puts nothing."""
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """One word of a list."""
    return '"' + _literal(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _word(text: str) -> str:
    """One word of a command, in which no variable is filled in."""
    return _quoted(text.replace("$", "$$"))
