"""The Dockerfile's steps, replayed without Docker: an empty directory stands for the image, a venv for its Python.

What comes out is also what a wheel installs into an empty environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
IMAGE_SECONDS = 300

#: A line of the Dockerfile: its instruction and the rest.
Step = tuple[str, str]


def steps() -> list[Step]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, rest.strip()) for name, rest in (line.split(maxsplit=1) for line in lines)]


def arguments(name: str) -> list[str]:
    return [rest for step, rest in steps() if step == name]


@dataclass
class Image:
    """What the Dockerfile makes. Absolute paths of the image lie in `root`, except those of Python.

    Its stages share one root: an environment cannot be moved, and keeps its place from stage to stage.
    """

    root: Path
    workdir: Path
    path: list[Path]

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/") if path.startswith("/") else self.workdir / path

    def replay(self, name: str, rest: str) -> None:
        if name == "WORKDIR":
            self.workdir = self.at(rest)
            self.workdir.mkdir(parents=True, exist_ok=True)
        elif name == "COPY" and rest.startswith("--from=build "):
            _, source, target = rest.split()
            assert source == target
        elif name == "COPY":
            self.copy(*rest.split())
        elif name == "ENV" and rest.startswith("PATH="):
            self.path.insert(0, self.at(rest.removeprefix("PATH=").removesuffix(":$PATH")))
        elif name == "RUN" and rest.startswith(("pip ", "python ")):
            self.run([str(self.at(word)) if word.startswith("/") else word for word in rest.split()])

    def copy(self, *paths: str) -> None:
        *sources, target = paths
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, self.at(target), ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, self.at(target))

    def run(self, command: list[str], cwd: Path | None = None) -> str:
        """A command with nothing of this process's environment but what pip needs to find its index."""
        kept = {name: value for name, value in os.environ.items() if re.match("(?i)pip_|.*_proxy$|ssl_|home$", name)}
        done = subprocess.run(
            ["/usr/bin/env", *command],
            cwd=cwd or self.workdir,
            env={**kept, "PATH": ":".join([*map(str, self.path), "/usr/bin:/bin"])},
            capture_output=True,
            text=True,
            timeout=IMAGE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The Dockerfile's WORKDIR, COPY and `RUN pip` steps, one after the other."""
    root = tmp_path_factory.mktemp("image")
    venv.create(root / "venv", with_pip=True)
    made = Image(root, root, [root / "venv" / "bin"])
    for name, rest in steps():
        made.replay(name, rest)
    return made


def entrypoint() -> list[str]:
    command: list[str] = json.loads(arguments("ENTRYPOINT")[0])
    return command


def test_the_entrypoint_tells_its_version(image: Image) -> None:
    assert re.fullmatch(r"batchrun \d+\.\d+\.\d+\n", image.run([*entrypoint(), "--version"]))


def test_a_job_in_the_mounted_directory_runs_and_writes_beside_itself(image: Image, tmp_path: Path) -> None:
    image.run([*entrypoint(), "init", "hello"], cwd=tmp_path)
    summary = json.loads(image.run([*entrypoint(), "run", "hello.yaml", "--emulator", "--json"], cwd=tmp_path))
    assert summary["succeeded"] == summary["rows"] == 2
    assert (tmp_path / "runs" / "hello.emulated" / "results.parquet").is_file()


def test_nothing_of_the_test_extra_is_in_the_image(image: Image) -> None:
    listed = image.run(["pip", "--python", str(image.at("/opt/batchrun/bin/python")), "list", "--format=freeze"])
    installed = {line.split("==")[0].lower() for line in listed.split()}
    assert "batchrun" in installed
    assert not installed & {"pytest", "ruff", "mypy", "google-genai", "hypothesis"}


def test_the_wheel_holds_the_package_whole_and_nothing_else(image: Image) -> None:
    [record] = image.at("/opt/batchrun").glob("lib/*/site-packages/batchrun-*.dist-info/RECORD")
    names = {line.split(",")[0] for line in record.read_text().splitlines()}
    names = {name for name in names if "__pycache__" not in name and ".dist-info/" not in name}
    source = {path for path in (ROOT / "batchrun").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert names == {"../../../bin/batchrun", *(str(path.relative_to(ROOT)) for path in source)}
    assert {"batchrun/py.typed", "batchrun/prices/prices.toml", "batchrun/cli/topics/money.md"} <= names


def test_every_topic_is_there_to_be_read(image: Image) -> None:
    assert "How money is protected\n" in image.run([*entrypoint(), "help", "money"])


def test_signals_reach_the_process_since_no_shell_stands_before_it() -> None:
    assert entrypoint() == ["batchrun"]
    assert arguments("STOPSIGNAL") in ([], ["SIGTERM"])


def test_the_last_stage_has_the_environment_alone() -> None:
    last = steps()[max(n for n, (name, _) in enumerate(steps()) if name == "FROM") :]
    assert [rest for name, rest in last if name == "COPY"] == ["--from=build /opt/batchrun /opt/batchrun"]
    assert not [rest for name, rest in last if name == "RUN" and "pip" in rest]


def test_the_container_works_in_a_volume_as_a_user_who_is_not_root() -> None:
    names = [name for name, _ in steps()]
    assert all(base.split()[0].endswith("-slim") for base in arguments("FROM"))
    assert arguments("USER") not in ([], ["root"], ["0"])
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert arguments("VOLUME") == ["/data"] == arguments("WORKDIR")[-1:]


def test_pip_leaves_no_cache_in_the_image() -> None:
    installs = [line for line in arguments("RUN") if line.startswith("pip ")]
    assert installs
    assert all("--no-cache-dir" in line for line in installs)


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    copied = {source for line in arguments("COPY") if "--from" not in line for source in line.split()[:-1]}
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied
