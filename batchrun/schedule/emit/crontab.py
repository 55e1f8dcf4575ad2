"""Lines for a user's crontab, and the rotation of their log. Pure.

Cron starts a line in the user's home with a poor PATH and no terminal, and mails what it prints. So all paths are
absolute, what the tick says goes to a log, and only the end of the log is printed if something is wrong: not if the
exit code is 75, which means that the tick before still runs, or that the service wants to be asked later.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from batchrun.errors import Exit, SpecError
from batchrun.schedule.emit.ticking import Ticking, cron_expression, refuse

#: Debian's cron takes 998 characters.
_LONGEST = 990
#: Cron and the shell disagree about backslashes.
_FORBIDDEN = "\\"
#: What logrotate takes for a pattern or for its own.
_PATTERN = '*?[]{}"\\'


def files(job: Ticking) -> Mapping[str, str]:
    """The crontab's lines, and a file for /etc/logrotate.d, by name."""
    return {f"{job.name}.crontab": crontab(job), f"{job.name}.logrotate": rotation(job)}


def crontab(job: Ticking) -> str:
    """Three lines of explanation and one that works. Raises SpecError for what a crontab cannot say."""
    command = _command(job)
    if (length := len(command.encode())) > _LONGEST:
        raise SpecError(
            f"{job.job}: the line for cron would be {length:,} characters long, and cron takes {_LONGEST}. "
            "Put the job into a directory with a shorter path."
        )
    return (
        f"# batchrun: {job.name}. Each tick does what the job's schedule says is due, and collects answers.\n"
        f"# The key is in {job.key_file}, mode 0600; what went wrong is in {job.log}, and its end is mailed.\n"
        f"{cron_expression(job.every)} {command}\n"
    )


def _command(job: Ticking) -> str:
    refuse((*job.command, job.key_file, job.state, job.log), _FORBIDDEN, "a crontab")
    log = shlex.quote(job.log)
    settings = {"GEMINI_API_KEY_FILE": job.key_file, "BATCHRUN_STATE": job.state}
    set_ = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
    tick = f"umask 077; cd {shlex.quote(job.folder)} && {set_} {shlex.join(job.command)} >>{log} 2>&1"
    return f"{tick} || [ $? -eq {int(Exit.TRY_LATER)} ] || tail -n 5 {log}".replace("%", r"\%")


def rotation(job: Ticking) -> str:
    """For logrotate: a tick opens the log anew, so nobody need be told that it was moved."""
    refuse((job.log,), _PATTERN, "logrotate's file")
    return (
        f'"{job.log}" {{\n'
        f"    su {job.user} {job.group}\n"
        "    weekly\n"
        "    maxsize 10M\n"
        "    rotate 8\n"
        "    compress\n"
        "    delaycompress\n"
        "    missingok\n"
        "    notifempty\n"
        "    nocreate\n"
        "}\n"
    )
