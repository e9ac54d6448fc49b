"""The pins and their hashes: the same versions in both, and pip refuses a file that is another."""

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements"
NAMES = ("core", "ros", "sim", "engine", "rtx", "dev")
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", re.M)


def pins(name):
    found = {}
    for package, version in PIN.findall((REQUIREMENTS / name).read_text()):
        found.setdefault(re.sub(r"[-_.]+", "-", package).lower(), set()).add(version)
    return found


def test_every_pin_with_hashes_is_of_the_same_version():
    pinned, hashed = pins("constraints.txt"), pins("hashes.txt")
    assert {name: hashed[name] for name in hashed.keys() & pinned.keys()} == {
        name: pinned[name] for name in hashed.keys() & pinned.keys()
    }
    assert len(hashed.keys() & pinned.keys()) > 130
    for entry in re.split(r"\n(?=[A-Za-z])", (REQUIREMENTS / "hashes.txt").read_text())[1:]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}(\s|$)", entry), entry


def test_what_is_asked_for_has_hashes_but_torch():
    texts = "\n".join((REQUIREMENTS / f"{name}.txt").read_text() for name in NAMES)
    names = re.findall(r"^([A-Za-z0-9._-]+)", texts, re.M)
    asked = {re.sub(r"[-_.]+", "-", name).lower() for name in names}
    assert asked - pins("hashes.txt").keys() == {"torch"}


def test_pip_refuses_another_file_of_the_same_name(tmp_path):
    """In hashes.txt's own form, with a wheel of one file in a folder in place of an index."""
    wheel = tmp_path / "one_file-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("one_file.py", "")
        archive.writestr(
            "one_file-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: one-file\nVersion: 1.0\n"
        )
        archive.writestr(
            "one_file-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("one_file-1.0.dist-info/RECORD", "")
    command = [sys.executable, "-m", "pip", "install", "--require-hashes", "--no-deps", "--no-index"]
    command += ["--find-links", str(tmp_path), "--target", str(tmp_path / "there")]
    for digest, code in ((hashlib.sha256(wheel.read_bytes()).hexdigest(), 0), ("0" * 64, 1)):
        (tmp_path / "hashes.txt").write_text(f"one-file==1.0 \\\n    --hash=sha256:{digest}\n")
        done = subprocess.run(
            [*command, "--requirement", str(tmp_path / "hashes.txt")], capture_output=True, text=True
        )
        assert done.returncode == code, done.stderr
