#!/usr/bin/env bash
# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

# Resolves what apt_ros.sh installs, for each Python that a ROS of apt has, to requirements/apt-ros-3.X.txt: the versions
# that go with that system's numpy, on x86-64 and on ARM alike. Needs uv (pip install uv) and a network.
#
#   requirements/apt_lists.sh [3.X...]
set -euo pipefail
cd "$(dirname "$0")"

# The system, and the numpy that its compiled modules are built with.
system() {
  case $1 in
    3.10) echo "Ubuntu 22.04 (Humble, JetPack 6)" "numpy>=1.21.5,<2" ;;
    3.11) echo "Debian 12" "numpy>=1.24.2,<2" ;;
    3.12) echo "Ubuntu 24.04 (Jazzy, Kilted, JetPack 7.2)" "numpy>=1.26.4,<2" ;;
    3.13) echo "Debian 13" "numpy>=2.2.4,<3" ;;
    3.14) echo "Ubuntu 26.04 (Lyrical)" "numpy>=2.2,<3" ;;
    *) echo "apt_lists: no system with Python $1 is listed here" >&2; return 1 ;;
  esac
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Not listed: torch with its CUDA, which goes by the machine; and numpy and setuptools, which are apt's.
resolve() {
  uv pip compile --quiet --no-header --no-annotate --python-version "$1" --python-platform "$2-manylinux_2_35" \
    --constraint "$work/system.txt" apt-ros.txt engine.txt sim.txt - <<<torch | tee "$work/$2.all" |
    grep -vE '^(torch|triton|numpy|setuptools|nvidia-[a-z0-9-]+|cuda-[a-z-]+)==' >"$work/$2"
}

# Of what is asked for, whatever the comments say.
made_of=$(grep -hvE '^(#|$)' apt-ros.txt engine.txt sim.txt | sha256sum | cut -c1-16)

[ $# -gt 0 ] || set -- 3.10 3.11 3.12 3.13 3.14
for version in "$@"; do
  known=$(system "$version")
  # Constraints as apt_ros.sh makes them: no wheel of OpenCV, no setuptools that colcon cannot use.
  printf '%s\n' "${known##* }" 'opencv-python<0' 'opencv-python-headless<0' 'setuptools<80' >"$work/system.txt"
  resolve "$version" x86_64
  resolve "$version" aarch64
  cmp "$work/x86_64" "$work/aarch64" || { diff "$work/x86_64" "$work/aarch64" >&2 || true; exit 1; }
  {
    printf '# %s\n' 'Copyright 2026 molmo_ros contributors' 'SPDX-License-Identifier: Apache-2.0'
    echo
    echo "# What goes with ${known% *}, Python $version and its ${known##* }; made by requirements/apt_lists.sh from"
    echo "# apt-ros.txt, engine.txt and sim.txt as of sha256 $made_of. torch goes by the machine."
    cat "$work/x86_64"
  } >"apt-ros-$version.txt"
  echo "apt-ros-$version.txt: $(grep -c == "apt-ros-$version.txt") packages; $(grep -E '^(numpy|setuptools|torch)==' "$work/x86_64.all" | tr '\n' ' ')"
done
