# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Says whether an environment of apt_ros.sh has what the node needs, and what hides what.

    python requirements/check_environment.py PLATFORM CONSTRAINT

PLATFORM is jetson, cuda or cpu; CONSTRAINT is the line on numpy that the environment was made with. Run by the
environment's Python, with ROS sourced. Ends with 1, and a sentence on what to do, where the node could not run.
"""

from __future__ import annotations

import importlib
import re
import sys
from importlib.metadata import distributions

NEEDED = ("numpy", "cv2", "yaml", "torch", "safetensors", "tokenizers", "huggingface_hub")


def loaded(name: str):
    """A module, or a refusal that names it and what its import said."""
    try:
        return importlib.import_module(name)
    except Exception as error:  # a broken wheel raises whatever its initialisation does
        sys.exit(f"{name} cannot be imported: {error}\nMake the environment again: rm -r {sys.prefix}")


def refuse_other_numpy(numpy, constraint: str) -> None:
    """cv_bridge, cv2 and the messages were built with apt's numpy: another major version breaks them."""
    below = int(re.search(r"<(\d+)$", constraint)[1])
    if int(numpy.__version__.split(".")[0]) >= below:
        sys.exit(
            f"numpy {numpy.__version__} of {numpy.__file__} hides apt's, with which cv_bridge and OpenCV are built; "
            f"take it away: python3 -m pip uninstall numpy (with --break-system-packages where pip asks for it)"
        )


def refuse_wheels_of_opencv() -> None:
    """A wheel's OpenCV beside apt's loads a second set of its libraries into the process of cv_bridge."""
    wheels = sorted(
        {name for d in distributions() if (name := d.metadata["Name"] or "").startswith("opencv-")}
    )
    if wheels:
        sys.exit(
            f"a wheel hides apt's OpenCV, which cv_bridge is linked to; take it away: "
            f"python3 -m pip uninstall {' '.join(wheels)} (with --break-system-packages where pip asks for it)"
        )


def refuse_torch_without_numpy(numpy, torch) -> None:
    """Built for a newer numpy, torch loads and then fails at the first picture."""
    try:
        same = torch.from_numpy(numpy.arange(3)).numpy().tolist() == [0, 1, 2]
    except Exception as error:
        sys.exit(f"torch {torch.__version__} does not work with numpy {numpy.__version__}: {error}")
    if not same:
        sys.exit(f"torch {torch.__version__} and numpy {numpy.__version__} do not read each other's arrays")


def gpu_line(platform: str, torch) -> str:
    """What torch says about the GPU, and what to do where it should see one."""
    if torch.cuda.is_available():
        return f"GPU: {torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}"
    if platform == "cpu":
        return "GPU: none"
    if torch.version.cuda is None:
        return (
            f"GPU: not used, torch {torch.__version__} is built without CUDA; "
            "give another: TORCH_INDEX=URL or TORCH=WHEEL"
        )
    return (
        f"GPU: not reached by torch {torch.__version__} (CUDA {torch.version.cuda}); where this is the machine "
        "it is for, nvidia-smi says whether the driver is new enough for that CUDA"
    )


def tensorrt_line(platform: str) -> str:
    try:
        tensorrt = importlib.import_module("tensorrt")
    except Exception:
        where = (
            "sudo apt-get install nvidia-jetpack"
            if platform == "jetson"
            else "--with tensorrt, or --with rtx"
        )
        return "TensorRT: none" + (f" ({where} brings it)" if platform != "cpu" else "")
    return f"TensorRT: {tensorrt.__version__}"


def main(platform: str, constraint: str) -> None:
    # Before what is built with it.
    refuse_other_numpy(loaded("numpy"), constraint)
    refuse_wheels_of_opencv()
    modules = {name: loaded(name) for name in NEEDED}
    refuse_torch_without_numpy(modules["numpy"], modules["torch"])
    loaded("rclpy")
    print(", ".join(f"{name} {modules[name].__version__}" for name in NEEDED))
    print(gpu_line(platform, modules["torch"]))
    print(tensorrt_line(platform))


if __name__ == "__main__":
    main(*sys.argv[1:])
