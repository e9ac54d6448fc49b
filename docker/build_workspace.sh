#!/usr/bin/env bash
# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

# colcon build in a workspace that requirements/apt_ros.sh prepared, as docs/installing.md says it.
#
#   docker/build_workspace.sh WORKSPACE
set -eo pipefail # without -u, which ROS' setup files do not stand
cd "${1:?name the workspace}"
# shellcheck source=/dev/null
. "/opt/ros/${ROS_DISTRO:-$(basename /opt/ros/*)}/setup.bash"
# shellcheck source=/dev/null
. .venv-ros/bin/activate
colcon build --event-handlers console_cohesion+
rm -rf log
