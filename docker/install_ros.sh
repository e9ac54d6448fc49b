#!/usr/bin/env bash
# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

# ROS by apt, where the image has none, and what the node takes from apt. For images; a robot has its ROS.
#
#   docker/install_ros.sh DISTRO
set -euo pipefail
distro=${1:?name a ROS distribution, such as jazzy}
export DEBIAN_FRONTEND=noninteractive

packages=(
  "ros-$distro-ros-base" "ros-$distro-cv-bridge" "ros-$distro-tf2-ros-py" "ros-$distro-vision-msgs" "ros-$distro-bondpy"
  python3-colcon-common-extensions python3-numpy python3-opencv python3-venv python3-yaml g++ cmake git
)

apt-get update
if [ ! -f "/opt/ros/$distro/setup.bash" ]; then
  apt-get install -y --no-install-recommends ca-certificates curl
  # Ubuntu's codename; ROS keeps one folder per release.
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  curl -fsSL https://raw.githubusercontent.com/ros/rosdistro/master/ros.key -o /usr/share/keyrings/ros-archive-keyring.gpg
  echo "deb [arch=$(dpkg --print-architecture) signed-by=/usr/share/keyrings/ros-archive-keyring.gpg] http://packages.ros.org/ros2/ubuntu $codename main" \
    >/etc/apt/sources.list.d/ros2.list
  apt-get update
fi
apt-get install -y --no-install-recommends "${packages[@]}"
rm -rf /var/lib/apt/lists/*
