"""What is emitted for Kubernetes: its own schemas take it, and its YAML says what is meant."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from batchrun.errors import SpecError
from batchrun.schedule.emit.kubernetes import files, name
from tests.schedule.ticked import AWKWARD, ticking

VERSIONS = ("1.29", "1.37")


def manifests(image: str = "batchrun:latest", secret: str = "batchrun", **changes: Any) -> list[dict[str, Any]]:
    [text] = files(ticking(**changes), image, secret).values()
    return list(YAML(typ="safe").load_all(text))


def container(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = pod(**changes)["containers"][0]
    return found


def pod(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = manifests(**changes)[1]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_of_kubernetes_take_both_manifests(version: str) -> None:
    claim, job = manifests(job=f"{AWKWARD}/job.yaml", program=())
    assert (claim["kind"], job["kind"]) == ("PersistentVolumeClaim", "CronJob")
    for manifest in (claim, job):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schemas_are_strict_enough_to_see_a_slip() -> None:
    job = manifests()[1]
    job["spec"]["concurencyPolicy"] = job["spec"].pop("concurrencyPolicy")
    with pytest.raises(kubernetes_validate.ValidationError, match="concurencyPolicy"):
        kubernetes_validate.validate(job, VERSIONS[-1], strict=True)


def test_the_claim_and_the_job_name_the_same_volume() -> None:
    claim, _ = manifests()
    assert pod()["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_a_dollar_is_no_variable_and_a_word_no_truth_value() -> None:
    made = container(program=(), arguments=("--set", "name=$(HOME)", "on", "0777"))
    assert made["args"][-4:] == ["--set", "name=$$(HOME)", "on", "0777"]
    [text] = files(ticking(arguments=("on", "0777", "1:30")), "img", "no").values()
    assert all(f'"{word}"' in text for word in ("on", "0777", "1:30", "no"))


def test_an_image_that_is_on_the_node_is_not_pulled_whatever_its_tag() -> None:
    made = container(image="batchrun:latest")
    assert (made["image"], made["imagePullPolicy"]) == ("batchrun:latest", "IfNotPresent")


def test_the_container_is_nobody_and_may_write_into_its_volume_alone() -> None:
    made = container()
    assert made["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert {each["mountPath"] for each in made["volumeMounts"] if not each.get("readOnly")} == {"/data", "/tmp"}


def test_never_two_at_a_time_and_try_later_is_no_failure() -> None:
    spec = manifests()[1]["spec"]
    assert (spec["concurrencyPolicy"], spec["startingDeadlineSeconds"]) == ("Forbid", 120)
    job = spec["jobTemplate"]["spec"]
    assert (job["backoffLimit"], job["template"]["spec"]["restartPolicy"]) == (0, "Never")
    codes = job["podFailurePolicy"]["rules"][0]
    assert (codes["action"], codes["onExitCodes"]["values"]) == ("Ignore", [75])


@pytest.mark.parametrize("first", ["A.b_c", "a-b-c", "x" * 63, "n" * 44 + "-x"])
def test_a_name_is_one_that_kubernetes_takes_and_no_other_jobs(first: str) -> None:
    made = name(ticking(name=first))
    assert len(made) <= 52
    assert made.replace("-", "").isalnum()
    assert made == made.lower().strip("-")
    assert made != name(ticking(name=first.swapcase() + "2"))


def test_what_nobody_could_read_is_refused() -> None:
    with pytest.raises(SpecError, match="a manifest cannot hold"):
        manifests(arguments=("a\x1bb",))
