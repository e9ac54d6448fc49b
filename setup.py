# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Package for both worlds: `pip install .` and, as an ament_python package, `colcon build`."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "molmo_ros"
HERE = Path(__file__).resolve().parent


def requirements(name: str) -> list[str]:
    lines = (HERE / "requirements" / f"{name}.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def share(folder: str, pattern: str) -> tuple[str, list[str]]:
    """Files of a folder of the repository, and where they go below the install prefix."""
    return f"share/{PACKAGE}/{folder}".rstrip("/"), sorted(
        str(p.relative_to(HERE)) for p in (HERE / folder).glob(pattern)
    )


# colcon/molmo_ros/setup.py reads these.
ARGUMENTS = dict(
    name=PACKAGE,
    version="0.1.0",
    description="Molmo vision-language models as a ROS 2 node: a camera topic and a query in, points out",
    long_description=(HERE / "README.md").read_text() if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    # TO FILL IN by whoever releases, as in package.xml.
    url="https://example.org/molmo_ros",
    maintainer="molmo_ros maintainers",
    maintainer_email="maintainers@example.org",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={PACKAGE: ["checkpoints/*/*", "py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        share("launch", "*.launch.py"),
        share("config", "*.*"),
        share("config/models", "*.yaml"),
        share("engines", "README.md"),
        share("gazebo/harmonic", "*.*"),
        share("gazebo/fortress", "*.*"),
    ],
    zip_safe=False,
    install_requires=requirements("core"),
    extras_require={
        "ros": requirements("ros"),
        "sim": requirements("sim"),
        "engine": requirements("engine"),
        "rtx": requirements("rtx"),
        "eval": requirements("eval"),
        "serve": requirements("serve"),
        "remote": requirements("remote"),
        "scale": requirements("scale"),
        "test": ["pytest"],
    },
    entry_points={
        "console_scripts": [
            "molmo-ros = molmo_ros.cli.main:main",
            "molmo_node = molmo_ros.node.process:main",
            "check_camera = molmo_ros.check.check_process:main",
            "molmo_sim_camera = molmo_ros.sim.camera_node:main",
        ],
    },
)

if __name__ == "__main__":
    setup(**ARGUMENTS)
