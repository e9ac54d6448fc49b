# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

# Two commands on a bare machine: `make demo` and `make test`. Both set up .venv first, once.
# Options: DISTRO=kilted takes that ROS 2 instead of Jazzy, in .venv-kilted; PYTHON=python3.12 picks the interpreter;
# PINS=none takes the newest of everything instead of the pinned versions, in .venv-newest;
# TORCH_INDEX=URL adds an index to take torch from.
DISTRO ?= jazzy
export DISTRO PINS

# Recipes run in the checkout, whose own path may hold spaces.
VENV := $(if $(filter none,$(PINS)),.venv-newest,$(if $(filter jazzy,$(DISTRO)),.venv,.venv-$(DISTRO)))
PYTHON_VENV := $(VENV)/bin/python
NAMES := core ros sim engine rtx eval serve remote dev

# A ROS that is sourced in this shell stays out of the recipes: its libraries and the wheels' do not mix.
unexport PYTHONPATH PYTHONHOME LD_LIBRARY_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH ROS_LOCALHOST_ONLY
unexport ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION ROS_STATIC_PEERS FASTRTPS_DEFAULT_PROFILES_FILE FASTDDS_DEFAULT_PROFILES_FILE
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE
# Without compiled modules each of the hundreds of processes of a test run would compile them again.
unexport PYTHONDONTWRITEBYTECODE

# Fast DDS has renamed it with Kilted, which warns of the old name (molmo_ros/node/fast_dds.py).
profile_variable := $(if $(filter jazzy,$(DISTRO)),FASTRTPS,FASTDDS)_DEFAULT_PROFILES_FILE

# The environment is the ROS prefix. Discovery stays on this machine, in a domain of this make's own, so that
# nothing meets a robot on the network or a second checkout.
ros_environment = AMENT_PREFIX_PATH="$(CURDIR)/$(VENV)" \
	RMW_IMPLEMENTATION=rmw_fastrtps_cpp \
	ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST \
	ROS_DOMAIN_ID=$$(( $$$$ % 100 + 1 )) \
	ROS_LOG_DIR="$(CURDIR)/.cache/ros" \
	$(profile_variable)="$(CURDIR)/config/fastdds_shm.xml" \
	MUJOCO_GL=disabled

cmake_environment = CMAKE_PREFIX_PATH="$(CURDIR)/$(VENV)"

.DEFAULT_GOAL := help
.PHONY: help demo pick test check lint docs sphinx torchvision scale benchmark train build clean setup workspaces

help: ## This list
	@awk -F ':[^#]*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup:
	@requirements/install.sh $(NAMES)

demo: setup ## Simulated camera, Molmo node, ten and more queries; pictures and a recording in demo_output/
	@$(ros_environment) $(PYTHON_VENV) -m molmo_ros.demo $(ARGS)

pick: setup ## A simulated hand picks what it is told, on a hundred tables; table, pictures, film in pick_output/
	@$(ros_environment) $(PYTHON_VENV) -m molmo_ros.pick $(ARGS)

# A worker more than there are cores, each with whole files (test/conftest.py). With arguments one, whose output is not
# caught up in another's; ARGS="-n auto ..." for more.
workers = $(if $(ARGS),0,auto)

# Only Jazzy has all wheels that a build by CMake needs.
test: setup torchvision $(if $(filter jazzy,$(DISTRO)),workspaces) sphinx scale ## The whole test suite (ARGS="-k points" passes pytest arguments)
	@$(ros_environment) $(PYTHON_VENV) -m pytest -n $(workers) --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup ## What is quickly tested: no node processes, training, engines or long answers (90 s on two cores)
	@$(ros_environment) $(PYTHON_VENV) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" $(ARGS)

lint: setup ## ruff and mypy
	@$(PYTHON_VENV) -m ruff check .
	@$(PYTHON_VENV) -m mypy

sphinx: setup
	@requirements/install.sh docs

# transformers' own server, which the tests compare with, wants torchvision for its pictures. Beside a torch for the CPU it
# cannot be imported as it is, and then transformers cannot either: so it lies apart, for that server alone.
torchvision: setup
	@[ -d $(VENV)/torchvision28 ] || $(PYTHON_VENV) -m pip install --quiet --disable-pip-version-check --no-deps \
		--target $(VENV)/torchvision28 torchvision==0.28.0
# Ray and what else labels data sets: half a gigabyte that nothing else needs.
scale: setup
	@requirements/install.sh scale

docs: setup sphinx ## The documentation as a site: build/docs/index.html
	@$(PYTHON_VENV) -m sphinx -q -W --keep-going -c docs $(ARGS) . build/docs
	@echo "build/docs/index.html"

benchmark: setup ## Medians of image processing, decoding and the node's overhead
	@$(ros_environment) $(PYTHON_VENV) -m benchmarks $(ARGS)

train: setup ## Trains the embedded checkpoint again (hours; resumes where it was stopped)
	@$(ros_environment) $(PYTHON_VENV) -m molmo_ros.train $(ARGS)

# What builds workspaces of colcon: `build`, and the tests of workspaces. The setuptools beside it is the newest with all
# that colcon's --symlink-install calls of a package.
workspaces: setup
	@requirements/install.sh colcon
	@$(PYTHON_VENV) requirements/fix_cmake_paths.py
	@[ -d $(VENV)/setuptools79 ] || $(PYTHON_VENV) -m pip install --quiet --disable-pip-version-check --no-deps \
		--target $(VENV)/setuptools79 setuptools==79.0.1

build: workspaces ## colcon build and colcon test of both packages, with the ROS of the environment
	@. $(VENV)/bin/activate && $(ros_environment) $(cmake_environment) colcon build --event-handlers console_direct+
	@. $(VENV)/bin/activate && $(ros_environment) $(cmake_environment) colcon test && colcon test-result --verbose

clean: ## Removes everything that is made here, the environment too
	rm -rf .venv .venv-* build install log demo_output pick_output .cache .mypy_cache .pytest_cache .ruff_cache *.egg-info \
		interfaces/*/build interfaces/*/*.egg-info
	find molmo_ros test benchmarks interfaces -name __pycache__ -type d -prune -exec rm -rf {} +
