#!/usr/bin/env bash
# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

# Makes an environment in the checkout and installs into it; does nothing while the requirement files are unchanged.
#
#   requirements/install.sh NAME...     e.g. core ros sim dev: requirements/NAME.txt of each
#
# DISTRO       which ROS 2: jazzy (unless said otherwise) goes into .venv, kilted into .venv-kilted
# PYTHON       which python to use (3.10 to 3.14); found by itself where unset
# PINS         none: no pinned versions, the newest of everything, in .venv-newest
# TORCH_INDEX  one more package index to look for torch in, such as PyTorch's CPU index
set -euo pipefail
cd "$(dirname "$0")/.."
distro=${DISTRO:-jazzy}
case ${PINS:-}-$distro in -jazzy) venv_name=.venv ;; none-*) venv_name=.venv-newest ;; *) venv_name=.venv-$distro ;; esac
venv=$PWD/$venv_name

fail() { printf 'molmo_ros setup: %s\n' "$*" >&2; exit 1; }
say() { printf '[setup %3ds] %s\n' "$SECONDS" "$*"; }

# A sourced ROS or another environment must not leak into this one. (The ROS wheels mark a prepared process
# by the last variable, and a Python of another environment would believe it.)
unset PYTHONPATH PYTHONHOME LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE

pinned_distros() { (cd requirements && ls constraints-*.txt) | sed 's/constraints-\(.*\)\.txt/\1/' | paste -sd ' '; }
constraints=(requirements/constraints.txt "requirements/constraints-$distro.txt")
hashes=(requirements/hashes.txt "requirements/hashes-$distro.txt")
[ -f "${constraints[1]}" ] && [ -f "${hashes[1]}" ] ||
  fail "there are no wheels of ROS 2 '$distro'; DISTRO can be: $(pinned_distros). Any other ROS 2 is used as it is installed, with colcon (README: real camera)."

files=()
for name in "$@"; do files+=("requirements/$name.txt"); done
[ ${#files[@]} -gt 0 ] || fail "name at least one requirement file: $(cd requirements && ls ./*.txt | tr '\n' ' ')"
case "$distro $* " in
  kilted*" colcon "*) fail "ROS 2 kilted has no wheels of domain_coordinator and python_cmake_module, which colcon's build needs. Use DISTRO=jazzy." ;;
esac

# With ROS from wheels come the packages in interfaces/, which are compiled here.
case " $* " in *" ros "*) interfaces=(interfaces/molmo_msgs interfaces/tf2_msgs) ;; *) interfaces=() ;; esac

# One stamp per set of names; it holds the hash of everything that decides what is installed.
stamp=$venv/.installed-$(IFS=-; echo "$*")
sources() {
  cat "${files[@]}" "${constraints[@]}" "${hashes[@]}" requirements/install.sh setup.py setup.cfg
  [ ${#interfaces[@]} = 0 ] || find interfaces \( -name build -o -name '*.egg-info' -o -name __pycache__ \) -prune -o -type f -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum
}
[ "${PINS:-}" != none ] || constraints=() hashes=()
hash=$(sources | sha256sum | cut -d' ' -f1)
[ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$hash" ] && exit 0

suitable() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; }

find_python() {
  for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10 python3.13 python3.14}; do
    if suitable "$candidate"; then echo "$candidate"; return; fi
  done
}

can_make_venv() {
  for module in ensurepip virtualenv pip; do "$1" -c "import $module" 2>/dev/null && return; done
  return 1
}

# Root (in a container, mostly) gets what Debian and Ubuntu keep in packages of their own without asking.
install_by_apt() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
  say "installing $* with apt-get"
  { apt-get update && apt-get install -y --no-install-recommends "$@"; } >/dev/null 2>&1 || true
}

make_venv() {
  local python
  python=$(find_python)
  { [ -n "$python" ] && can_make_venv "$python"; } || [ -n "${PYTHON:-}" ] ||
    { install_by_apt python3 python3-venv ca-certificates; python=$(find_python); }
  [ -n "$python" ] || fail "no Python 3.10 to 3.14 found (tried: ${PYTHON:-python3, python3.12, python3.11, python3.10, python3.13, python3.14}). Install one, or name it: make demo PYTHON=/path/to/python3"
  rm -rf "$venv"
  if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    "$python" -m venv "$venv"
  elif "$python" -m virtualenv --version >/dev/null 2>&1; then
    "$python" -m virtualenv --quiet "$venv"
  elif "$python" -c 'import venv' 2>/dev/null && "$python" -m pip --version >/dev/null 2>&1; then
    # Debian keeps ensurepip in a package of its own; the system's pip can put a pip into the environment.
    "$python" -m venv --without-pip "$venv"
    "$python" -m pip install --quiet --target "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" pip
  else
    fail "$python can make no virtual environment here. Install its venv module once: sudo apt-get install python3-venv (a python3.12 from elsewhere: python3.12-venv), then run make again"
  fi
  say "environment: $venv_name with $("$python" --version)"
  # colcon must not search the environment for packages.
  touch "$venv/COLCON_IGNORE"
}

# What compiling the interfaces takes and is not here, by the names of Debian's and Ubuntu's packages.
missing_for_interfaces() {
  local python
  command -v gcc >/dev/null && command -v g++ >/dev/null || echo g++
  python=$("$venv/bin/python" -c 'import os, sysconfig as s; h = s.get_path("include") + "/Python.h"; print("" if os.path.exists(h) else f"python{s.get_python_version()}-dev")')
  [ -z "$python" ] || echo "$python"
}

require_compiler() {
  local missing
  mapfile -t missing < <(missing_for_interfaces)
  [ ${#missing[@]} = 0 ] || install_by_apt "${missing[@]}"
  mapfile -t missing < <(missing_for_interfaces)
  [ ${#missing[@]} = 0 ] || fail "the robot's messages (interfaces/) are compiled here, which needs a C++ compiler and Python's headers. Install them once: sudo apt-get install ${missing[*]}, then run make again"
}

if [ ${#interfaces[@]} != 0 ]; then
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || fail "the ROS 2 wheels exist for Linux on x86-64 only, this is $(uname -s) on $(uname -m). Use an installed ROS 2 with colcon instead (README: real camera)."
fi

# An environment whose making was cut short has no pip.
[ -x "$venv/bin/python" ] && suitable "$venv/bin/python" && "$venv/bin/python" -c 'import pip' 2>/dev/null || make_venv
[ ${#interfaces[@]} = 0 ] || require_compiler
pip=("$venv/bin/python" -m pip install --disable-pip-version-check)
pinned_pip=("${pip[@]}")
[ "${PINS:-}" = none ] || for file in "${constraints[@]}"; do pinned_pip+=(--constraint "$file"); done
if [ -n "${TORCH_INDEX:-}" ]; then
  pinned_pip+=(--extra-index-url "$TORCH_INDEX")
elif [ ! -e /proc/driver/nvidia ] && ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
  say "hint: without an NVIDIA GPU, PyTorch's CPU index given as TORCH_INDEX=URL downloads less (no CUDA)"
fi
say "installing ${files[*]} (some minutes the first time, nothing after that)"
# The files name Jazzy's packages; another distribution's have the same names but for its own.
requirements=()
for file in "${files[@]}"; do
  sed "s/^ros-jazzy-/ros-$distro-/" "$file" > "$venv/${file##*/}"
  requirements+=(--requirement "$venv/${file##*/}")
done
# One line per package is progress enough; the file has all of it, as pip often names the cause long before
# its last line (a refused certificate ends as "conflicting dependencies").
log=$venv/pip.log
install() {
  # First whatever is pinned, each file held against its hash, where all of the names are installed as `make` does; then
  # torch by its version alone, whose files differ from index to index.
  if [ "$*" = "core ros sim engine rtx eval serve remote dev" ] && [ "${PINS:-}" != none ]; then
    "${pip[@]}" --require-hashes --no-deps "${hashes[@]/#/--requirement=}" || return
  fi
  "${pinned_pip[@]}" "${requirements[@]}"
}
install "$@" 2>&1 | tee "$log" | { grep --line-buffered -E '^(Collecting|Installing|Successfully|ERROR|  *ERROR|error|Downloading .*(MB|GB))' || true; } |
  sed -u 's| (from .*||' | cut -c1-120 || {
  { grep -E '^WARNING: Retrying|^Could not fetch|No space left|HASHES' "$log" || true; } | tail -n 1 | cut -c1-400 >&2
  fail "pip could not install everything. Is the network reachable, is the disk large enough (2 GB; with CUDA several more)? All that pip said: $venv_name/pip.log"
}
if [ ${#interfaces[@]} != 0 ]; then
  say "compiling ${interfaces[*]} (half a minute)"
  "${pinned_pip[@]}" --quiet --no-deps --no-build-isolation "${interfaces[@]/#/.\/}" || fail "the interface packages could not be built (above)"
fi
"${pinned_pip[@]}" --quiet --no-deps --no-build-isolation --editable . || fail "the package itself could not be installed (above)"
printf '%s' "$hash" > "$stamp"
say "ready"
