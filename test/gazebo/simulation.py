# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`ros2 launch molmo_ros gazebo.launch.py` as a process, and Gazebo's services."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

PACKAGES = ("ros_gz_sim", "ros_gz_bridge", "tf2_ros", "launch_ros", "molmo_ros", "molmo_msgs")
TIMEOUT_MS = 5000


def missing():
    """What of a simulation is not installed; empty where all is there."""
    if not shutil.which("ros2"):
        return "ros2 is not on the path (source ROS 2 and the workspace)"
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    for package in PACKAGES:
        try:
            share = Path(get_package_share_directory(package))
        except PackageNotFoundError:
            return f"{package} is not installed"
        if package == "molmo_ros" and not (share / "launch" / "gazebo.launch.py").is_file():
            return f"molmo_ros in {share} has no gazebo.launch.py: build the workspace"
    return ""


class Simulation:
    """A running launch.

    Args:
        questions: The world.
        release: The Gazebo that runs it.
        domain: Of ROS.
        log: Where all output goes.
    """

    def __init__(self, questions, release, domain, log):
        self.world, self.release, self.log = questions.world.name, release, log
        arguments = {
            "world": questions.path,
            "gazebo": release.name,
            "headless": "true",
            **questions.arguments,
        }
        command = ["ros2", "launch", "molmo_ros", "gazebo.launch.py"]
        command += [f"{name}:={value}" for name, value in arguments.items()]
        environment = os.environ | {"ROS_DOMAIN_ID": str(domain)}
        with log.open("w") as output:  # in a group of its own: Gazebo has children
            self.process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, start_new_session=True
            )

    def call(self, service, kind, request):
        """Call a service of the world, with a request in protobuf's text form."""
        messages = self.release.messages
        command = [*self.release.command, "service", "-s", f"/world/{self.world}/{service}"]
        command += ["--reqtype", f"{messages}.{kind}", "--reptype", f"{messages}.Boolean"]
        command += ["--timeout", str(TIMEOUT_MS), "--req", request]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert "data: true" in said.stdout, f"{' '.join(command)}: {said.stdout}{said.stderr}"

    def pause(self, paused):
        self.call("control", "WorldControl", f"pause: {str(paused).lower()}")

    def reset(self):
        self.call("control", "WorldControl", "reset: {all: true}")

    def place(self, model, world_from_model):
        """Put a model somewhere."""
        x, y, z = world_from_model.translation
        qx, qy, qz, qw = world_from_model.rotation
        position = f"position: {{x: {x}, y: {y}, z: {z}}}"
        turn = f"orientation: {{x: {qx}, y: {qy}, z: {qz}, w: {qw}}}"
        self.call("set_pose", "Pose", f'name: "{model}", {position}, {turn}')

    def close(self):
        """End it as Ctrl-C does; what does not end by that is killed."""
        for number in (signal.SIGINT, signal.SIGKILL):
            if self.process.poll() is None:
                os.killpg(self.process.pid, number)
                try:
                    self.process.wait(20)
                except subprocess.TimeoutExpired:
                    continue
