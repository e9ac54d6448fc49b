#!/usr/bin/env bash
# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

# An environment for a ROS 2 that apt installed: what the node needs from PyPI, beside apt's numpy, OpenCV and rclpy, none of
# which it touches or hides. Does nothing the second time, and goes on where it was interrupted.
#
#   requirements/apt_ros.sh [--with engine|sim|rtx|tensorrt]... [--dry-run] [WORKSPACE]
#
# --dry-run    say what is found and what would be installed, and end
# WORKSPACE    where colcon is run; found by itself where the checkout lies in WORKSPACE/src, else the checkout
# ROS_DISTRO   which ROS, where /opt/ros holds several
# PLATFORM     jetson, cuda or cpu, where the machine that this runs on is not the one that it is for (images)
# TORCH_INDEX  package index to take torch from: PyTorch's for a CPU, NVIDIA's for a Jetson
# TORCH        torch's wheel, or a requirement such as torch==2.13.0
# WHEELS       folder of wheels to install from, without a network
# VENV         the environment's folder (WORKSPACE/.venv-ros)
set -euo pipefail
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
root=${APT_ROS_ROOT:-} # tests put another machine's files there, and lists in APT_ROS_LISTS
invocation="requirements/apt_ros.sh"

# The oldest and the newest 3.x that this package and its dependencies are tried with.
oldest=10 newest=14

say() { printf '[apt_ros %3ds] %s\n' "$SECONDS" "$*"; }
fail() { printf 'apt_ros: %s\n' "$*" >&2; exit 1; }

# A sourced ROS is not looked at by pip, nor is what was installed with pip --user, which ROS does not know of either.
sourced_distro=${ROS_DISTRO:-}
unset PYTHONPATH PYTHONHOME _ROS_WHEELS_BOOTSTRAP_COMPLETE PIP_USER PIP_TARGET PIP_PREFIX
export PYTHONNOUSERSITE=1 PIP_DISABLE_PIP_VERSION_CHECK=1

read_arguments() {
  extras=() workspace='' dry_run=''
  while [ $# -gt 0 ]; do
    case $1 in
      --with)
        case ${2:-} in
          engine | sim | rtx | tensorrt) extras+=("$2") ;;
          *) fail "--with takes engine, sim, rtx or tensorrt, not '${2:-}'" ;;
        esac
        shift 2
        ;;
      --dry-run) dry_run=yes; shift ;;
      -h | --help) sed -n '/^# An environment/,/^set /{s/^# \{0,1\}//;/^set /d;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
      -*) fail "there is no option $1; it is: $invocation [--with engine|sim|rtx|tensorrt] [--dry-run] [WORKSPACE]" ;;
      *) [ -z "$workspace" ] || fail "one workspace at a time, not '$workspace' and '$1'"; workspace=$1; shift ;;
    esac
  done
  if [ -z "$workspace" ]; then
    case $checkout in */src/*) workspace=${checkout%/src/*} ;; *) workspace=$checkout ;; esac
  fi
  [ -d "$workspace" ] || fail "there is no folder '$workspace'; the workspace is the folder in which colcon build is run"
  workspace=$(cd "$workspace" && pwd -P)
  venv=${VENV:-$workspace/.venv-ros}
  case $venv in
    *[[:space:]]*) fail "'$venv' holds a space, and the first line of a program cannot name a Python there; put the environment elsewhere: VENV=/path/without/spaces $invocation '$workspace'" ;;
    /*) ;;
    *) venv=$PWD/$venv ;;
  esac
}

find_ros() {
  local found=() folder
  for folder in "$root"/opt/ros/*/; do [ ! -f "$folder/setup.bash" ] || found+=("$(basename "$folder")"); done
  if [ -n "$sourced_distro" ]; then
    distro=$sourced_distro
    [ -f "$root/opt/ros/$distro/setup.bash" ] || fail "ROS_DISTRO is $distro, but there is no /opt/ros/$distro/setup.bash (there is: ${found[*]:-nothing}); unset ROS_DISTRO, or install it: sudo apt-get install ros-$distro-ros-base"
  elif [ ${#found[@]} = 0 ]; then
    fail "no ROS 2 in /opt/ros; install one first (docs.ros.org: Ubuntu deb packages, e.g. ros-jazzy-ros-base), or run make demo, which takes ROS from wheels"
  elif [ ${#found[@]} -gt 1 ]; then
    fail "/opt/ros holds ${found[*]}; say which one: ROS_DISTRO=${found[0]} $invocation"
  else
    distro=${found[0]}
  fi
  ros=$root/opt/ros/$distro
}

# The Python whose rclpy this ROS has; python3 on the PATH may be conda's or pyenv's.
find_python() {
  local folders=() minor
  mapfile -t folders < <(compgen -G "$ros/lib/python3.*" || true; compgen -G "$ros/local/lib/python3.*" || true)
  [ ${#folders[@]} -gt 0 ] || fail "/opt/ros/$distro has no Python packages (no lib/python3.* in it); install rclpy: sudo apt-get install ros-$distro-rclpy"
  minor=${folders[0]##*/python3.}
  [[ $minor =~ ^[0-9]+$ ]] || fail "${folders[0]#"$root"} is no folder of a Python 3"
  [ "$minor" -ge $oldest ] || fail "ROS $distro has Python 3.$minor, which is too old: molmo_ros runs on 3.$oldest (Humble) to 3.$newest (Lyrical)"
  [ "$minor" -le $newest ] || fail "ROS $distro has Python 3.$minor, which is newer than any that molmo_ros and torch were tried with (3.$oldest to 3.$newest); take a newer molmo_ros, or run an older ROS in a container (docker/)"
  version=3.$minor
  python=$root/usr/bin/python$version
  [ -x "$python" ] || fail "ROS $distro is for Python $version, and there is no /usr/bin/python$version; install it: sudo apt-get install python$version"
}

# What apt has installed for Python, without what sudo pip put before it: the names of Debian's and Ubuntu's packages that are
# missing, the versions of numpy and setuptools, and all names as the lists write them.
look_at_apt() {
  missing=() apt_numpy='' apt_setuptools=0 apt_names=''
  while read -r what value; do
    case $what in
      missing) missing+=("$value") ;;
      numpy) apt_numpy=$value ;;
      setuptools) apt_setuptools=$value ;;
      names) apt_names=$value ;;
    esac
  done < <("$python" - <<'PYTHON'
import re
import sys
from importlib.metadata import distributions
from importlib.util import find_spec

sys.path = [path for path in sys.path if not path.startswith("/usr/local/")]
needed = {"ensurepip": "venv", "numpy": "numpy", "cv2": "opencv", "yaml": "yaml"}
for module, package in needed.items():
    if not find_spec(module):
        print("missing", f"python3-{package}")
versions = {re.sub(r"[-_.]+", "-", d.metadata["Name"] or "-").lower(): d.version for d in distributions()}
for name in ("numpy", "setuptools"):
    if name in versions or find_spec(name):
        print(name, versions.get(name) or __import__(name).__version__)
print("names", "|".join(sorted(versions)))
PYTHON
  )
}

require_packages() {
  look_at_apt
  # Root (in an image, mostly) gets them without asking.
  if [ ${#missing[@]} != 0 ] && [ "$(id -u)" = 0 ] && [ -z "$root" ] && command -v apt-get >/dev/null; then
    say "installing ${missing[*]} with apt-get"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } >/dev/null 2>&1 || true
    look_at_apt
  fi
  [ ${#missing[@]} = 0 ] || fail "Python $version lacks what apt brings; install it, then run this again: sudo apt-get install ${missing[*]}"
}

find_platform() {
  local driver
  driver=$(sed -n 's/.*Kernel Module[^0-9]*\([0-9][0-9.]*\).*/\1/p' "$root/proc/driver/nvidia/version" 2>/dev/null || true)
  platform=${PLATFORM:-}
  if [ -n "$platform" ]; then
    description="given by PLATFORM"
  elif [ -f "$root/etc/nv_tegra_release" ]; then
    platform=jetson description=$(sed -n '1s/^# \(R[0-9]*\)[^,]*, REVISION: \([0-9.]*\).*/Jetson Linux \1.\2/p' "$root/etc/nv_tegra_release")
  elif [ -f "$root/var/lib/dpkg/info/nvidia-l4t-core.list" ]; then
    platform=jetson description="Jetson Linux"
  elif [ -n "$driver" ]; then
    platform=cuda description="NVIDIA driver $driver"
  else
    platform=cpu description="no NVIDIA driver"
  fi
  case $platform in jetson | cuda | cpu) ;; *) fail "PLATFORM is jetson, cuda or cpu, not '$platform'" ;; esac
  for extra in ${extras[@]+"${extras[@]}"}; do
    case $platform-$extra in
      jetson-tensorrt | jetson-rtx) fail "a Jetson has TensorRT from JetPack, which the environment sees; leave out --with $extra, and if it is missing: sudo apt-get install nvidia-jetpack" ;;
    esac
  done
}

# No wheel may hide what apt's compiled modules were built with: numpy keeps its major version and grows at most; OpenCV
# is apt's; and colcon builds with the setup.py commands that setuptools 80 dropped.
write_constraints() {
  printf 'numpy>=%s,<%d\n' "$apt_numpy" $((${apt_numpy%%.*} + 1))
  printf '%s<0\n' opencv-python opencv-python-headless opencv-contrib-python opencv-contrib-python-headless
  [ "${apt_setuptools%%.*}" -ge 80 ] || echo 'setuptools<80'
  # Of the list, what apt does not have: the rest of the robot runs with apt's.
  pins=${APT_ROS_LISTS:-$checkout/requirements}/apt-ros-$version.txt
  [ ! -f "$pins" ] || grep -vE '^(#|$)' "$pins" | grep -vE "^($apt_names)=="
}

requirement_files() {
  echo "$checkout/requirements/apt-ros.txt"
  for extra in ${extras[@]+"${extras[@]}"}; do
    [ "$extra" = tensorrt ] || echo "$checkout/requirements/$extra.txt"
  done
}

# Everything that decides what is installed.
decisions() {
  printf '%s\n' "$distro" "$version" "$platform" "${TORCH:-}" "${TORCH_INDEX:-}" ${extras[@]+"${extras[@]}"}
  printf '%s\n' "$constraints"
  local files
  mapfile -t files < <(requirement_files)
  cat "${files[@]}" "${BASH_SOURCE[0]}"
}

make_environment() {
  if [ -e "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ] && [ -n "$(ls -A "$venv")" ]; then
    fail "'$venv' is there and is no environment; move it away, or name another place: VENV=/path $invocation"
  fi
  # One that was cut short has no pip; one of another ROS has another Python.
  if [ -e "$venv" ] && ! "$venv/bin/python$version" -c 'import pip' 2>/dev/null; then
    say "the environment is half made or of another Python: it is made again"
    rm -rf "$venv"
  fi
  if [ ! -e "$venv" ]; then
    "$python" -m venv --system-site-packages "$venv" || fail "$python -m venv failed (above)"
    say "environment: $venv with $("$venv/bin/python" --version)"
  fi
  touch "$venv/COLCON_IGNORE"
  # pip takes a package whose installing was cut short for installed; its list of files comes last.
  if [ -e "$venv/.installing" ]; then
    find "$venv/lib" -maxdepth 3 -name '*.dist-info' ! -exec test -s {}/RECORD \; -prune -exec rm -rf {} +
  fi
}

missing_requirements() {
  local files
  mapfile -t files < <(requirement_files)
  "$venv/bin/python" - "$venv/constraints.txt" "${files[@]}" <<'PYTHON'
import re
import sys
from importlib.metadata import PackageNotFoundError, version

pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", open(sys.argv[1]).read(), re.MULTILINE))
names = ["torch"]
for file in sys.argv[2:]:
    names += re.findall(r"^[A-Za-z0-9._-]+", open(file).read(), re.MULTILINE)
missing = []
for name in names:
    try:
        version(name)
    except PackageNotFoundError:
        pin = pins.get(re.sub(r"[-_.]+", "-", name).lower())
        missing.append(f"{name}=={pin}" if pin else name)
print(*missing)
PYTHON
}

run_pip() {
  local log=$venv/pip.log
  printf '%s\n' "$ pip install $*" >>"$log"
  "$venv/bin/python" -m pip install --constraint "$venv/constraints.txt" "$@" 2>&1 | tee -a "$log" |
    { grep --line-buffered -E '^(Collecting|Installing|Successfully|Downloading .*(MB|GB))' || true; } | sed -u 's| (from .*||' | cut -c1-120 && return
  if grep -q 'No space left on device' "$log"; then
    fail "the disk is full ($(df -h --output=avail "$venv" | tail -n 1 | tr -d ' ') left); torch takes 1 GB, with CUDA 6 GB. Make room, then run this again: it goes on"
  elif grep -q 'The conflict is caused by' "$log"; then
    fail "what is asked for does not go with what apt has: $(grep -A 3 'The conflict is caused by' "$log" | tail -n +2 | paste -sd, | tr -s ' '). All that pip said: $log"
  elif [ -n "${WHEELS:-}" ]; then
    fail "the folder $WHEELS lacks a wheel: $(grep -E '^ERROR' "$log" | tail -n 2 | head -n 1 | cut -c1-200). Missing: $(missing_requirements). All that pip said: $log"
  elif grep -qE 'name resolution|Name or service not known|Network is unreachable|No route to host|Connection refused|ConnectTimeout|ProxyError|from versions: none' "$log"; then
    fail "no package index is reached, and these are still missing: $(missing_requirements). Connect and run this again (it goes on); or on a machine with this Ubuntu and a network: pip download -d wheels torch -r requirements/apt-ros.txt, bring the folder, and: WHEELS=wheels $invocation"
  fi
  fail "pip could not install everything: $( (grep -E '^ *(ERROR|error)' "$log" || echo 'it was ended') | tail -n 1 | cut -c1-200). Run this again: it goes on. All that pip said: $log"
}

# Where torch comes from; one that is there already, such as a Jetson's own, stays.
choose_torch() {
  torch_from=()
  if [ -n "${WHEELS:-}" ]; then
    torch_from=(--no-index --find-links "$WHEELS")
  elif [ -n "${TORCH_INDEX:-}" ]; then
    # Alone and from there only: of two indices pip takes the higher version, whoever's it is.
    torch_from=(--no-deps --index-url "$TORCH_INDEX")
  elif [ -z "${TORCH:-}" ] && has_torch; then
    torch_from=(found)
  elif [ "$platform" = jetson ] && [ -z "${TORCH:-}" ]; then
    fail "this is a Jetson ($description), for which PyPI's torch has no CUDA; give NVIDIA's for this JetPack (its page Installing PyTorch for Jetson Platform): TORCH=/path/to/torch.whl $invocation, or TORCH_INDEX=URL of an index that has it"
  elif [ "$platform" = cpu ] && [ -z "${TORCH:-}" ]; then
    say "hint: PyPI's torch brings CUDA along; TORCH_INDEX=URL with PyTorch's CPU index, as pytorch.org gives it, downloads a tenth"
  fi
}

has_torch() { "$python" -c 'import torch' 2>/dev/null || "$venv/bin/python" -c 'import torch' 2>/dev/null; }

install_requirements() {
  local files source=()
  mapfile -t files < <(requirement_files)
  [ -z "${WHEELS:-}" ] || source=(--no-index --find-links "$WHEELS")
  local arguments=()
  for file in "${files[@]}"; do arguments+=(--requirement "$file"); done
  case " ${extras[*]-} " in *" tensorrt "*) arguments+=(tensorrt) ;; esac
  # torch is named again, for what it depends on.
  run_pip ${source[@]+"${source[@]}"} "${arguments[@]}" torch
}

# colcon names the Python that runs it in the first line of every program it installs. apt's names the system's, which has
# no torch; this one, first on the PATH of the activated environment, names the environment's.
write_colcon() {
  "$venv/bin/python" -c 'import colcon_core.command' 2>/dev/null || return 0
  cat >"$venv/bin/colcon" <<COLCON
#!$venv/bin/python
import sys

from colcon_core.command import main

sys.exit(main())
COLCON
  chmod +x "$venv/bin/colcon"
}

check() {
  # As the node will find it: with ROS, and with what the user has installed with pip --user.
  (
    unset PYTHONNOUSERSITE
    set +eu
    # shellcheck disable=SC1091
    . "$ros/setup.bash" >/dev/null 2>&1
    exec "$venv/bin/python" "$checkout/requirements/check_environment.py" "$platform" "$(head -n 1 "$venv/constraints.txt")"
  ) || fail "the environment is there, and what is said above is in its way"
}

next_steps() {
  local look='ros2 launch molmo_ros molmo.launch.py query:="red cube" image:=/camera/color/image_raw'
  case " ${extras[*]-} " in *" sim "*) look='ros2 launch molmo_ros demo.launch.py' ;; esac
  cat <<STEPS

Next:
  cd $(printf %q "$workspace")
  source /opt/ros/$distro/setup.bash
  source $(printf %q "$venv")/bin/activate
  colcon build
  source install/setup.bash
  $look
(The environment is active while colcon builds; to start the node, install/setup.bash is enough.)
STEPS
}

main() {
  read_arguments "$@"
  find_ros
  find_python
  find_platform
  require_packages
  constraints=$(write_constraints)
  hash=$(decisions | sha256sum | cut -d' ' -f1)
  say "ROS $distro, Python $version, $platform ($description), workspace $workspace"
  if [ "$(cat "$venv/.installed" 2>/dev/null)" = "$hash" ] && "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    say "ready: everything is installed already"
    next_steps
    exit 0
  fi
  choose_torch
  if [ -n "$dry_run" ]; then
    say "torch: ${TORCH:-torch} ${torch_from[*]-}; the rest: $(requirement_files | xargs -d '\n' -n 1 basename | paste -sd' '), with"
    printf '%s\n' "$constraints"
    exit 0
  fi
  make_environment
  touch "$venv/.installing"
  rm -f "$venv/.installed" "$venv/pip.log"
  printf '%s\n' "$constraints" >"$venv/constraints.txt"
  [ "${torch_from[*]-}" = found ] || run_pip ${torch_from[@]+"${torch_from[@]}"} "${TORCH:-torch}"
  install_requirements
  write_colcon
  rm "$venv/.installing"
  check
  printf '%s' "$hash" >"$venv/.installed"
  say "ready"
  next_steps
}

main "$@"
