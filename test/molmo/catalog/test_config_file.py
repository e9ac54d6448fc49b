# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What can be wrong about a folder and its config.json."""

import pytest

from molmo_ros.molmo.catalog.config_file import read_config_file
from molmo_ros.molmo.errors import CheckpointError


def test_folder_errors(tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint folder"):
        read_config_file(tmp_path / "absent")
    with pytest.raises(CheckpointError, match="has no config.json"):
        read_config_file(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": ')
    with pytest.raises(CheckpointError, match="not valid JSON"):
        read_config_file(tmp_path)
    (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        read_config_file(tmp_path)
    for content in ("[" * 100_000, '{"hidden_size": ' + "9" * 5000 + "}"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(CheckpointError, match="not valid JSON"):
            read_config_file(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="list"):
        read_config_file(tmp_path)
