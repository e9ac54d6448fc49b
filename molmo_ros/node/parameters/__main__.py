# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`python -m molmo_ros.node.parameters > docs/parameters.md` writes the reference page."""

from molmo_ros.node.parameters.reference_page import markdown

if __name__ == "__main__":
    print(markdown(), end="")
