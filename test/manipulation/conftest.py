# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The scenes that several files look at."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
