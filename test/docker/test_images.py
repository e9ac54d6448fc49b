# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The images are made by what the checkout has, and the compose files say what they mean to.

No Docker is asked for: the Dockerfile's own lines are read, and its scripts by bash and the linters.
"""

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
spec = importlib.util.spec_from_file_location("run_lines", DOCKER / "run_lines.py")
run_lines = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run_lines)

LINES = run_lines.instructions((DOCKER / "Dockerfile").read_text())
ARGUMENTS = {rest.partition("=")[0] for word, rest in LINES if word == "ARG"}
COMPOSE = {path.name: yaml.safe_load(path.read_text()) for path in DOCKER.glob("compose*.yaml")}
SCRIPTS = sorted([*DOCKER.glob("*.sh"), *(ROOT / "requirements").glob("apt_*.sh")])


def of(instruction):
    return [rest for word, rest in LINES if word == instruction]


def ignored(path):
    """Whether .dockerignore leaves a path of the checkout out; the last line that fits decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!").removeprefix("**/")
            if fnmatch(path, pattern) or path.split("/")[0] == pattern:
                out = not line.startswith("!")
    return out


def test_every_file_that_a_line_names_is_in_the_image():
    copied = [rest.split() for rest in of("COPY")]
    for source, _ in copied:
        assert (ROOT / source).exists() and not ignored(source.rstrip("/")), source
    named = re.findall(r"/ws/src/molmo_ros/([\w./]+\.(?:sh|py|xml))", (DOCKER / "Dockerfile").read_text())
    named += re.findall(
        r"/ws/src/molmo_ros/([\w./]+\.\w+)", "".join(p.read_text() for p in DOCKER.glob("*.yaml"))
    )
    assert {"docker/entrypoint.sh", "docker/healthcheck.py", "requirements/apt_ros.sh"} <= set(named)
    for path in named:
        assert (ROOT / path).is_file() and not ignored(path), path
        if path.endswith((".sh", ".py")):
            assert (ROOT / path).stat().st_mode & 0o111, f"{path} is not executable"


def test_what_a_line_runs_was_copied_before():
    """Layer by layer, as Docker does it: the requirements alone make the environment."""
    there = []
    for word, rest in LINES:
        if word == "COPY":
            there.append(rest.split()[0])
        elif word == "RUN":
            for path in re.findall(r"/ws/src/molmo_ros/([\w./]+\.sh)", rest):
                assert any(path.startswith(source) or source in (path, ".") for source in there), path
    assert there == ["docker/install_ros.sh", "requirements/", "."]
    # What the environment's script reads of the checkout is in its own folder.
    recipe = (ROOT / "requirements/apt_ros.sh").read_text()
    assert set(re.findall(r"\$\{?checkout\}?/(\w+)", recipe)) <= {"requirements"}
    assert "${APT_ROS_LISTS:-$checkout/requirements}" in recipe


def test_the_checkout_reaches_the_image_and_what_is_made_in_it_does_not():
    tracked = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True)
    if tracked.returncode == 0:
        left_out = {path.split("/")[0] for path in tracked.stdout.splitlines() if ignored(path)}
        assert left_out == {".ci", "benchmarks", "test"}
    for path in (".git", ".venv", ".venv-ros", "build", "install", "log", "engines/tiny", ".cache"):
        assert ignored(path), path
    assert not ignored("engines/README.md") and not ignored("molmo_ros/checkpoints/tiny/config.json")


def test_nobody_is_root_and_nothing_is_owned_by_the_node_but_its_data():
    users = [rest for word, rest in LINES if word == "USER"]
    assert users and users[-1].split(":")[0] != "0" and users[-1].split(":")[0].isdigit()
    after = LINES[[word for word, _ in LINES].index("USER") :]
    assert not {word for word, _ in after} & {"RUN", "COPY", "ADD"}
    for volume in eval(of("VOLUME")[0]):  # a list of strings, as JSON has it
        assert volume.startswith("/data/") and volume in of("RUN")[-1]
    assert "MOLMO_ROS_HOME=/data" in of("ENV")


def test_the_recipes_arguments_are_the_builds():
    """Each ARG is used by a line or read by apt_ros.sh from the environment, and the extras are some that it has."""
    recipe = (ROOT / "requirements/apt_ros.sh").read_text()
    text = "\n".join(f"{word} {rest}" for word, rest in LINES)
    for name in ARGUMENTS:
        assert f"${{{name}}}" in text or re.search(rf"\${{{name}:?[-}}]", recipe), name
    extras = shlex.split(next(r for r in of("ARG") if r.startswith("EXTRAS=")).partition("=")[2])[0].split()
    for file in COMPOSE.values():
        for service in file["services"].values():
            given = service.get("build", {}).get("args", {})
            assert given.keys() <= ARGUMENTS
            extras += given.get("EXTRAS", "").split()
            assert given.get("PLATFORM", "cpu") in ("cpu", "cuda", "jetson")
    assert set(extras) <= {"engine", "sim", "rtx", "tensorrt"} and extras


@pytest.mark.parametrize("given", [{}, {"PLATFORM": "cuda", "EXTRAS": "sim tensorrt"}])
def test_the_lines_are_bash(given, tmp_path):
    script = run_lines.script((DOCKER / "Dockerfile").read_text(), "/checkout", given)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    # The line that hands the extras on, by a recipe that says what it was given.
    fake = tmp_path / "ws/src/molmo_ros/requirements/apt_ros.sh"
    fake.parent.mkdir(parents=True)
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@" "$PLATFORM"\n')
    fake.chmod(0o755)
    exports = [line for line in script.splitlines() if line.startswith("export ")]
    (line,) = [line for line in script.splitlines() if "apt_ros.sh" in line]
    text = "\n".join([*exports, line.replace("/ws", f"{tmp_path}/ws")])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], capture_output=True, text=True, check=True
    )
    wanted = given.get("EXTRAS", "sim engine").split()
    said = [part for extra in wanted for part in ("--with", extra)]
    assert done.stdout.split() == [*said, f"{tmp_path}/ws", given.get("PLATFORM", "cpu")]


def test_an_argument_that_is_none_is_refused():
    with pytest.raises(SystemExit, match="no build argument GPU; there are BASE, EXTRAS"):
        run_lines.script((DOCKER / "Dockerfile").read_text(), ".", {"GPU": "1"})


def test_camera_and_node_are_one_machine_to_fastdds():
    services = COMPOSE["compose.yaml"]["services"]
    assert services["camera"]["ipc"] == "shareable" and services["node"]["ipc"] == "service:camera"
    assert services["node"]["network_mode"] == "service:camera"
    # Each participant's segment, of the profile that both are given, and the default 64 MB would not do for several.
    profile = services["node"]["environment"]["FASTRTPS_DEFAULT_PROFILES_FILE"].removeprefix(
        "/ws/src/molmo_ros/"
    )
    segment = int(re.search(r"<segment_size>(\d+)<", (ROOT / profile).read_text())[1])
    assert int(services["camera"]["shm_size"].removesuffix("m")) * 2**20 > 8 * segment
    for service in services.values():
        assert service["cap_drop"] == ["ALL"] and "privileged" not in service
    targets = {mount.split(":")[1] for mount in services["node"]["volumes"]}
    assert targets == set(eval(of("VOLUME")[0]))


def test_the_compose_files_are_of_the_same_services_and_images():
    assert len(COMPOSE) == 3
    for name, file in COMPOSE.items():
        assert set(file["services"]) == {"camera", "node"}
        assert len({service["image"] for service in file["services"].values()}) == 1, name
        # Only one builds the image that both run.
        assert [s for s, service in file["services"].items() if "build" in service] == ["camera"]


def test_commands_are_the_packages():
    setup = (ROOT / "setup.py").read_text()
    commands = [service["command"] for service in COMPOSE["compose.yaml"]["services"].values()]
    commands += [eval(of("CMD")[0])]
    for ros2, verb, package, what, *_ in commands:
        assert (ros2, package) == ("ros2", "molmo_ros")
        assert (ROOT / "launch" / what).is_file() if verb == "launch" else f'"{what} = ' in setup


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_clean(script):
    subprocess.run(["bash", "-n", script], check=True)
    assert script.stat().st_mode & 0o111 and script.read_text().startswith("#!/usr/bin/env bash\n")
    done = subprocess.run([tool("shellcheck"), "--severity", "info", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_is_clean():
    done = subprocess.run([tool("hadolint"), DOCKER / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def tool(name):
    """A linter of requirements/dev.txt."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found, f"{name} is missing: make test installs it (requirements/dev.txt)"
    return found
