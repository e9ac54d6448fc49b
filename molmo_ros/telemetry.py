# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the libraries under this package would tell their makers, switched off before any of them is imported.

The package imports this first of all, so that every entry passes through it: node, command line, library, engine
build, bags, demo, simulated camera, benchmarks and tests. Processes that these start inherit it.
"""

from __future__ import annotations

import os
import sys
import warnings

OFF = {
    # onnxruntime holds a client that begins when the library is loaded: it looks up and calls its maker's collector,
    # and keeps an id of the machine and a database below the user's cache folder.
    "ORT_DISABLE_TELEMETRY": "1",
    # huggingface_hub, transformers and hf_xet: what runs here, in the header of each request, by requests of its own,
    # and a list of harnesses that is fetched to name the one that runs this.
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_XET_TELEMETRY_ENABLED": "false",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    # Ray: what cluster runs what, once an hour, unless this is there before it starts.
    "RAY_USAGE_STATS_ENABLED": "0",
    # What others agreed on, such as what an extension of these may bring.
    "DO_NOT_TRACK": "1",
}
"""Environment variables, and the values that the libraries take for a no. Whatever the shell had set before."""


def switch_off() -> None:
    """Set all of `OFF`, for this process and those that it starts.

    Warns:
        RuntimeWarning: onnxruntime was imported before, with its telemetry on: nothing ends it any more.
    """
    late = "onnxruntime" in sys.modules and os.environ.get("ORT_DISABLE_TELEMETRY") != "1"
    os.environ.update(OFF)
    if late:
        warnings.warn(
            "onnxruntime was imported before molmo_ros, and may send telemetry until this process ends; "
            "import molmo_ros first, or set ORT_DISABLE_TELEMETRY=1",
            RuntimeWarning,
            stacklevel=3,
        )
