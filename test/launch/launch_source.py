# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a launch file's source says, without launch."""

import ast


def keys_used(tree, name):
    """The constants that a dictionary of this name is asked for."""
    return {
        node.slice.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and getattr(node.value, "id", "") == name
        and isinstance(node.slice, ast.Constant)
    }
