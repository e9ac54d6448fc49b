# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A folder with a few rendered scenes to train on."""

import pytest

from molmo_ros.train import scenes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    (folder / "scenes").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "SHARD", 6)
        scenes.write_shard(folder / "scenes", 1)
    return folder
