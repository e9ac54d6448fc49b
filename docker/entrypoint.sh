#!/usr/bin/env bash
# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

# ROS and the workspace, then whatever the container is to run.
set -eo pipefail
workspace=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)
# shellcheck source=/dev/null
. "/opt/ros/${ROS_DISTRO:-$(basename /opt/ros/*)}/setup.bash"
# shellcheck source=/dev/null
. "$workspace/install/setup.bash"
exec "$@"
