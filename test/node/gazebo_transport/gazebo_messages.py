# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Gazebo's own messages as its package defines them, and `relay.cpp` compiled against its transport."""

import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

LOOPBACK = {"IGN_IP": "127.0.0.1", "GZ_IP": "127.0.0.1"}
"""Of the environment: on this machine only."""


class Naming(NamedTuple):
    """What differs between the names of two generations: the folder of the messages, and what the compiler is told."""

    package: str
    told: tuple[str, ...]


NAMES = {
    "ignition-transport11": Naming("ignition", ()),
    "gz-transport13": Naming("gz", ("-DGZ",)),
    "gz-transport12": Naming("gz", ("-DGZ",)),
}
"""By what pkg-config calls the transport."""


def installed() -> str:
    """pkg-config's name of the transport that is installed here; empty where none is."""
    return next((name for name in NAMES if _pkg_config("--exists", name) is not None), "")


def build(folder: Path) -> Path:
    """Compile the relay and the messages' definitions into a folder; returns the relay."""
    name = installed()
    namespace, told = NAMES[name]
    flags = _pkg_config("--cflags", "--libs", name) or []
    relay = folder / "relay"
    source = Path(__file__).with_name("relay.cpp")
    command = ["g++", "-O0", "-Wall", *told, "-o", relay, source, *(flag for flag in flags if flag != "-O2")]
    compiler = subprocess.Popen(command)
    roots = [Path(flag[2:]).resolve() for flag in flags if flag.startswith("-I")]
    root = next(root for root in roots if (root / namespace / "msgs/image.proto").exists())
    wanted = [root / namespace / f"msgs/{stem}.proto" for stem in ("image", "camera_info", "clock", "pose_v")]
    subprocess.run(
        ["protoc", "-I", root, "--include_imports", "--descriptor_set_out", folder / "definitions", *wanted],
        check=True,
    )
    assert compiler.wait() == 0
    return relay


def _pkg_config(*arguments: str) -> list[str] | None:
    try:
        return subprocess.run(
            ["pkg-config", *arguments], check=True, capture_output=True, text=True
        ).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return None


class Packet(NamedTuple):
    """A message between two processes.

    Attributes:
        topic: With its slash.
        type: As `Image`, without its package.
        message: Of that type.
    """

    topic: str
    type: str
    message: Any


class Relay:
    """The process that a program of Gazebo's would be here: publishes what it is given, and gives what it hears.

    Args:
        program: The relay that was built, with the messages' definitions beside it.
        topics: What it listens to.
        environment: Its environment.
        stdin: What it ends with: a pipe from here, or what this process has.
    """

    def __init__(
        self,
        program: Path,
        topics: list[str],
        environment: dict[str, str],
        stdin: int | None = subprocess.PIPE,
    ) -> None:
        definitions = FileDescriptorSet.FromString(program.with_name("definitions").read_bytes())
        self._pool = DescriptorPool()
        for one in definitions.file:
            self._pool.Add(one)
        self._package = definitions.file[-1].package
        self._process = subprocess.Popen(
            [program, *topics], stdin=stdin, stdout=subprocess.PIPE, env=environment
        )

    def make(self, kind: str) -> Any:
        """An empty message, such as `Image`."""
        return GetMessageClass(self._pool.FindMessageTypeByName(f"{self._package}.{kind}"))()

    def publish(self, topic: str, message: Any) -> None:
        """Publish a message; a topic's first waits for a listener."""
        data = message.SerializeToString()
        assert self._process.stdin
        self._process.stdin.write(f"{topic} {message.DESCRIPTOR.full_name} {len(data)}\n".encode() + data)
        self._process.stdin.flush()

    def hear(self) -> Packet | None:
        """The next message of the topics; None once the process has ended."""
        assert self._process.stdout
        words = self._process.stdout.readline().decode().split()
        if len(words) != 3:
            return None
        kind = words[1].rpartition(".")[2]
        message = self.make(kind)
        message.ParseFromString(self._process.stdout.read(int(words[2])))
        return Packet(words[0], kind, message)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(20)
