# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the benchmarks of the node share: the processes of camera and node, and a listener in this process.

All talk over DDS on this machine, in a domain of their own, with the profile for images of `config/fastdds_shm.xml`.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from molmo_ros.node.fast_dds import installed_fast_dds

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0
"""How long anything may take before it is taken as lost [s]."""
NODE = "/molmo_node"


class Bench:
    """Starts camera and node, and listens; a context manager that ends all of it.

    Attributes:
        node: The rclpy node of this process; its callbacks run in a thread of their own.
        node_pid: Process of the node that runs.
    """

    def __init__(self) -> None:
        os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
        os.environ.setdefault(installed_fast_dds().profile_variable, str(ROOT / "config" / "fastdds_shm.xml"))
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.signals import SignalHandlerOptions

        # An end from outside runs __exit__, too: no camera is left behind.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("bench")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self._camera: subprocess.Popen[str] | None = None
        self._node: subprocess.Popen[str] | None = None

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: Any) -> None:
        import rclpy

        self.stop_camera()
        self.stop_node()
        rclpy.try_shutdown()
        self._thread.join(5.0)

    @property
    def node_pid(self) -> int:
        assert self._node is not None
        return self._node.pid

    def start_camera(
        self,
        size: tuple[int, int],
        rate: float,
        encoding: str = "rgb8",
        *,
        depth: bool = False,
        block: bool = False,
    ) -> None:
        """Start a camera in place of the last one: size [px], rate [Hz], encoding as of `node_camera`."""
        self.stop_camera()
        options = ["--size", f"{size[0]}x{size[1]}", "--rate", str(rate), "--encoding", encoding]
        options += [f"--{name}" for name, wanted in (("depth", depth), ("block", block)) if wanted]
        self._camera = _start("benchmarks.node_camera", *options)

    def stop_camera(self) -> dict[str, int]:
        """End the camera; returns how many frames it published, and how many ticks it missed."""
        camera, self._camera = self._camera, None
        if camera is None:
            return {}
        camera.terminate()
        printed, _ = camera.communicate(timeout=PATIENCE)
        return json.loads(printed)

    def start_node(self, model: str, /, *, answer_time: float = 0.0, **parameters: Any) -> None:
        """Start the node in place of the last one, and wait until it is active.

        Args:
            model: As of `node_process`.
            answer_time: Of the patch model [s].
            **parameters: Of the node.
        """
        self.stop_node()
        ros = [f"{name}:={json.dumps(value)}" for name, value in parameters.items()]
        arguments = [model, "--answer-time", str(answer_time), "--ros-args"]
        self._node = _start(
            "benchmarks.node_process", *arguments, *(part for one in ros for part in ("-p", one))
        )
        # Its query topic is the last thing that it subscribes to when it is activated.
        self.wait(lambda: self.node.count_subscribers("/query") > 0, "the node is not active")

    def stop_node(self) -> None:
        """End the node."""
        node, self._node = self._node, None
        if node is not None:
            node.send_signal(signal.SIGINT)
            node.communicate(timeout=PATIENCE)
            # Until discovery knows, or the next node would be taken for this one.
            self.wait(lambda: self.node.count_subscribers("/query") == 0, "the node does not end")

    def set_parameter(self, name: str, value: Any) -> None:
        """Set a parameter of the node.

        Raises:
            RuntimeError: It is refused.
        """
        from rclpy.parameter import Parameter
        from rclpy.parameter_client import AsyncParameterClient

        client = AsyncParameterClient(self.node, NODE)
        client.wait_for_services(PATIENCE)
        (result,) = self.result(client.set_parameters([Parameter(name, value=value)])).results
        if not result.successful:
            raise RuntimeError(result.reason)

    def listen(self, kind: type, topic: str) -> Heard:
        """Collect a topic of the node, connected when this returns."""
        heard = Heard()
        heard.subscription = self.node.create_subscription(kind, f"{NODE}/{topic}", heard.hear, 1000)
        self.wait(lambda: self.node.count_publishers(f"{NODE}/{topic}") > 0, f"nobody publishes {topic}")
        time.sleep(0.2)  # until the other side knows it, too
        return heard

    def forget(self, heard: Heard) -> None:
        """Listen to it no more."""
        self.node.destroy_subscription(heard.subscription)

    def result(self, future: Any) -> Any:
        """The result of a future of rclpy's.

        Raises:
            RuntimeError: It does not come.
        """
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        if not done.wait(PATIENCE):
            raise RuntimeError(f"no response within {PATIENCE} s")
        return future.result()

    def wait(self, condition: Callable[[], bool], otherwise: str) -> None:
        """Wait for a condition.

        Raises:
            RuntimeError: It does not hold in time, for the reason given, or the node has ended.
        """
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self._node is not None and self._node.poll() is not None:
                raise RuntimeError(f"the node ended with {self._node.returncode}: {otherwise}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{otherwise} after {PATIENCE} s")
            time.sleep(0.005)

    def _spin(self) -> None:
        from rclpy.executors import ExternalShutdownException

        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()


class Heard(list[tuple[int, Any]]):
    """Messages, each with the time at which it came [ns]."""

    subscription: Any

    def hear(self, message: Any) -> None:
        """Note that a message has come now."""
        self.append((time.time_ns(), message))


def stamp_of(message: Any) -> int:
    """Of a message's header [ns]."""
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


def seconds_of(duration: Any) -> float:
    """A builtin_interfaces/Duration [s]."""
    return duration.sec + duration.nanosec * 1e-9


def spread(values: Sequence[float], name: str) -> dict[str, float]:
    """Median and 95th percentile; NaN where there are no values."""
    median, p95 = np.percentile(values, [50, 95]) if len(values) else (float("nan"),) * 2
    return {f"{name}_median": round(float(median), 3), f"{name}_p95": round(float(p95), 3)}


def metadata(benchmark: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """What a figure depends on beside the code. A busy machine measures its scheduler: see the load average."""
    from importlib.metadata import PackageNotFoundError, version

    from rclpy.utilities import get_rmw_implementation_identifier

    try:
        rclpy_version = version("ros-rclpy")
    except PackageNotFoundError:  # an installed ROS
        rclpy_version = os.environ.get("ROS_DISTRO", "")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    return {
        "benchmark": benchmark,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit.strip(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "rclpy": rclpy_version,
        "rmw": get_rmw_implementation_identifier(),
        "load_average": os.getloadavg()[0],
        "parameters": parameters,
    }


def print_row(row: dict[str, Any], *, first: bool) -> None:
    """One line of a table; the first one below the columns' names."""
    if first:
        print("| " + " | ".join(row) + " |\n|" + "---|" * len(row))
    cells = (f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values())
    print("| " + " | ".join(cells) + " |", flush=True)


def report(figures: dict[str, Any], path: Path | None) -> None:
    """Write the figures as JSON, where that is wished."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n")


def _start(module: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next(
        (line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor()
    )
