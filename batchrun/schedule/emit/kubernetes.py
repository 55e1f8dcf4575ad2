"""A CronJob for Kubernetes, with the claim of its volume. Pure.

The volume is mounted at /data and holds the job's directory: its file, its input, its runs. The key is in a Secret, and
comes as a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString as Text

from batchrun.errors import Exit
from batchrun.schedule.emit.ticking import Ticking, cron_expression, refuse

DATA = "/data"
SECRETS = "/run/secrets/batchrun"
KEY = "api-key"
#: A CronJob makes Jobs of its name and 11 characters more, and those may have 63.
_LONGEST_NAME = 52
_USER = 1000
#: Seconds. So long a tick that is told to stop may wait for answers to open requests.
_GRACE = 150
#: Seconds. What has done nothing for so long has failed, whatever its exit codes were.
_LONGEST_TICK = 3600

Manifest = dict[str, Any]


def files(job: Ticking, image: str, secret: str) -> Mapping[str, str]:
    """The manifest, by its file's name. Raises SpecError for what it cannot say."""
    refuse((*job.command, job.state, image, secret), "", "a manifest")
    head = (
        f"# batchrun: {job.name}. The volume holds the job's directory. The key is in a Secret:\n"
        f"#   {key_command(secret)}\n"
    )
    return {f"{job.name}.cronjob.yaml": head + "---\n".join(map(_yaml, (claim(job), cron_job(job, image, secret))))}


def key_command(secret: str) -> str:
    """What makes the Secret of a FILE with the key."""
    return f"kubectl create secret generic {secret} --from-file={KEY}=FILE"


def claim(job: Ticking) -> Manifest:
    """The volume. A run's checkpoint needs a file system of one machine: no NFS."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": _metadata(job), "spec": spec}


def cron_job(job: Ticking, image: str, secret: str) -> Manifest:
    """What starts a tick every so many minutes, never two at a time."""
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _metadata(job),
        "spec": {
            "schedule": cron_expression(job.every),
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 120,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {"spec": _job(job, image, secret)},
        },
    }


def _job(job: Ticking, image: str, secret: str) -> Manifest:
    try_later = {"containerName": "tick", "operator": "In", "values": [int(Exit.TRY_LATER)]}
    return {
        "backoffLimit": 0,
        "activeDeadlineSeconds": _LONGEST_TICK,
        # no failures: another pod is started a little later
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onExitCodes": try_later},
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            ]
        },
        "template": {"metadata": {"labels": _labels(job)}, "spec": _pod(job, image, secret)},
    }


def _pod(job: Ticking, image: str, secret: str) -> Manifest:
    key = {"secretName": Text(secret), "defaultMode": 0o440, "items": [{"key": KEY, "path": KEY}]}
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(job, image)],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": name(job)}},
            {"name": "key", "secret": key},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def _container(job: Ticking, image: str) -> Manifest:
    return {
        "name": "tick",
        "image": Text(image),
        "imagePullPolicy": "IfNotPresent",  # for `latest` it would be Always, and an image built on the node is nowhere
        "args": [_literal(word) for word in job.command],
        "workingDir": Text(job.folder),
        "env": [
            {"name": "GEMINI_API_KEY_FILE", "value": _literal(job.key_file)},
            {"name": "BATCHRUN_STATE", "value": _literal(job.state)},
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "data", "mountPath": DATA},
            {"name": "key", "mountPath": SECRETS, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def name(job: Ticking) -> str:
    """The job's name as Kubernetes takes names; where it has to be another one, a hash keeps it apart from others."""
    plain = f"batchrun-{job.name}"
    fitted = re.sub(r"[^a-z0-9-]+", "-", plain.lower())[: _LONGEST_NAME - 9].strip("-")
    return plain if plain == fitted else f"{fitted}-{sha256(plain.encode()).hexdigest()[:8]}"


def _metadata(job: Ticking) -> Manifest:
    return {"name": name(job), "labels": _labels(job)}


def _labels(job: Ticking) -> Manifest:
    return {"app.kubernetes.io/name": "batchrun", "app.kubernetes.io/instance": name(job)}


def _literal(text: str) -> Text:
    """A value in which Kubernetes fills in no variable; quoted, since its YAML is an older one, where `on` is true."""
    quoted: Text = Text(text.replace("$", "$$"))
    return quoted


def _yaml(manifest: Manifest) -> str:
    yaml, text = YAML(), StringIO()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(manifest, text)
    return text.getvalue()
