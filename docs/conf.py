# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Settings of the documentation's site: `make docs` builds it into build/docs, without the network.

The sources are the checkout itself (`sphinx-build -c docs . build/docs`), so that README.md, ARCHITECTURE.md and
pages link to each other as they do where a repository is browsed. What is imported besides
NumPy, OpenCV and PyYAML, ROS and torch above all, stands aside as an empty module: API pages take docstrings and
signatures, and nothing runs.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
_package = ElementTree.parse(ROOT / "package.xml").getroot()

project = "molmo_ros"
author = "molmo_ros contributors"
project_copyright = f"2026 {author}, Apache-2.0"
version = release = _package.findtext("version")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser"]
root_doc = "docs/index"
# Whatever the checkout holds besides (environments, builds, other packages' pages) is no page.
include_patterns = [
    "docs/*.md",
    "docs/*.rst",
    "docs/api/*.rst",
    "[a-z]*/README.md",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.rst",
    "QUALITY_DECLARATION.md",
    "interfaces/molmo_msgs/CHANGELOG.rst",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
default_role = "code"  # what docstrings have in single backticks
nitpicky = True  # a reference to a name of this package that has no page is a warning
nitpick_ignore_regex = [(r"py:.*", r"(?!molmo_ros\.).*")]
# Parts of a model, which are passed on and are nobody's to make.
nitpick_ignore = [
    ("py:class", f"molmo_ros.{name}")
    for name in (
        "molmo.families.family.Family",
        "molmo.families.wording.Wording",
        "molmo.images.image_processor.ImageProcessor",
        "molmo.images.video_config.VideoConfig",
        "molmo.pointing.patch_points.PatchPlaces",
        "molmo.pointing.point_chooser.PointableImages",
        "molmo.prompts.prompt.Prefix",
        "molmo.prompts.tokenizer.Tokenizer",
        "molmo.running.pack.Shared",
        "molmo.running.runtime.Cache",
        "molmo.running.runtime.Runtime",
        "molmo.scoring.confidence_calibration.ConfidenceCalibration",
        "remote.server_link.ServerLink",
        "remote.server_state.ServerRecord",
        "remote.server_watch.ServerWatch",
    )
]

myst_heading_anchors = 4  # links to #a-heading, as pages are browsed in a repository

autodoc_mock_imports = [
    *("huggingface_hub", "mujoco", "onnx", "onnxruntime", "safetensors", "tensorrt", "tensorrt_rtx"),
    *("tokenizers", "torch", "transformers"),
    *("ament_index_python", "bondpy", "launch", "launch_ros", "molmo_msgs", "rclpy", "tf2_ros"),
]
napoleon_use_ivar = True  # of a dataclass: its fields once, with their meanings
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
python_use_unqualified_type_names = True

html_theme = "sphinx_rtd_theme"
html_title = f"molmo_ros {release}"
html_copy_source = False
html_show_sourcelink = False
html_extra_path = ["landing"]  # where the site's own address leads to
