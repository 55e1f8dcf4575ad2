"""The examples in `deploy` satisfy the schemas of the programs that read them, and start commands that there are."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import jsonschema
import kubernetes_validate
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from batchrun.cli import commands
from batchrun.spec.load import load_job
from tests.test_dockerfile import arguments

DEPLOY = Path(__file__).parent.parent / "deploy"


def read(name: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all((DEPLOY / name).read_text()))


@pytest.fixture
def compose() -> dict[str, Any]:
    [found] = read("compose.yaml")
    return found


def check_compose(found: dict[str, Any]) -> None:
    schema = json.loads((files("check_jsonschema.builtin_schemas") / "vendor" / "compose-spec.json").read_text())
    jsonschema.validate(found, schema, cls=jsonschema.validators.validator_for(schema))


def test_the_compose_file_satisfies_the_schema_of_compose(compose: dict[str, Any]) -> None:
    check_compose(compose)


def test_the_schema_of_compose_sees_a_slip(compose: dict[str, Any]) -> None:
    compose["services"]["run"]["stop_grace_perod"] = compose["services"]["run"].pop("stop_grace_period")
    with pytest.raises(jsonschema.ValidationError, match="stop_grace_perod"):
        check_compose(compose)


def test_the_manifests_satisfy_the_schemas_of_kubernetes() -> None:
    found = read("kubernetes/cronjob.yaml")
    assert [manifest["kind"] for manifest in found] == ["PersistentVolumeClaim", "CronJob"]
    for manifest in found:
        kubernetes_validate.validate(manifest, "1.37", strict=True)


def test_the_pod_that_takes_files_in_mounts_the_volume_of_the_ticks_as_their_user() -> None:
    [pod] = read("kubernetes/files.yaml")
    kubernetes_validate.validate(pod, "1.37", strict=True)
    ticked = read("kubernetes/cronjob.yaml")[1]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["spec"]["securityContext"].items() <= ticked["securityContext"].items()
    assert pod["spec"]["volumes"][0] == ticked["volumes"][0]
    [ours], [theirs] = pod["spec"]["containers"], ticked["containers"]
    assert ours["volumeMounts"][0] == theirs["volumeMounts"][0]
    assert [ours[name] for name in ("image", "imagePullPolicy")] == [theirs["image"], theirs["imagePullPolicy"]]


def test_the_manifests_are_what_schedule_emit_prints() -> None:
    done = CliRunner().invoke(commands, ["schedule", "emit", str(DEPLOY / "nightly.yaml"), "--for", "kubernetes"])
    assert done.stdout == (DEPLOY / "kubernetes" / "cronjob.yaml").read_text()


def test_what_is_started_are_commands_on_the_job_that_is_there(compose: dict[str, Any]) -> None:
    pod = read("kubernetes/cronjob.yaml")[1]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    lines = [service["command"] for service in compose["services"].values()]
    checks = [
        service["healthcheck"]["test"][2:] for service in compose["services"].values() if "healthcheck" in service
    ]
    assert checks == [["schedule", "health", "/data"]]
    for line in [*lines, *checks, pod["containers"][0]["args"]]:
        group = commands.commands["schedule"]
        assert isinstance(group, click.Group)
        name, place, *options = line[1:] if line[0] == "schedule" else line
        command = (group if line[0] == "schedule" else commands).commands[name]
        assert place == "/data" or (DEPLOY / Path(place).name).is_file()
        known = {option for param in command.params for option in param.opts}
        assert {option for option in options if option.startswith("--")} <= known


def test_the_key_is_where_the_image_looks_for_it(compose: dict[str, Any]) -> None:
    said = dict(word.split("=") for line in arguments("ENV") for word in line.split())
    [secret] = compose["secrets"]
    assert said["GEMINI_API_KEY_FILE"] == f"/run/secrets/{secret}"
    assert all(service["secrets"] == [secret] for service in compose["services"].values())


def test_the_job_of_the_examples_is_valid_and_rehearses(tmp_path: Path) -> None:
    assert load_job(DEPLOY / "nightly.yaml").warnings == ()
    words = ["run", str(DEPLOY / "nightly.yaml"), "--emulator", "--run-dir", str(tmp_path / "run"), "--json"]
    done = CliRunner().invoke(commands, [*words, "--latency", "0ms", "--set", "poll.first=0"])
    assert json.loads(done.stdout)["succeeded"] == 2
