# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Reading the image settings of checkpoints in the layouts that exist."""

import json
import math

import pytest

from molmo_ros.molmo.catalog.model_parts import read_image_processing
from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.images.crop_budget import image_cost
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.padded_style import PADDED, PaddedStyle
from molmo_ros.molmo.images.stretched_style import STRETCHED, StretchedStyle

# What transformers 5.23 writes for Molmo2ImageProcessor().save_pretrained(folder).
MOLMO2 = {
    "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5], "image_processor_type": "Molmo2ImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "max_crops": 8, "overlap_margins": [4, 4], "patch_size": 14, "pooling_size": [2, 2], "resample": 2,
    "rescale_factor": 0.00392156862745098, "size": {"height": 378, "width": 378},
}  # fmt: skip
# The keys of the 0924 hub files.
MOLMO = {
    "image_processor_type": "MolmoImageProcessor", "max_crops": 12, "overlap_margins": [4, 4],
    "base_image_input_size": [336, 336], "image_token_length_w": 12, "image_token_length_h": 12,
    "image_patch_size": 14, "image_padding_mask": True, "do_normalize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
}  # fmt: skip


def folder_with(path, **files):
    for name, content in files.items():
        (path / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_released_files_give_the_defaults(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    read = read_image_processing
    assert read(folder_with(tmp_path / "a", preprocessor_config=MOLMO2)) == ImageProcessorConfig.released(
        STRETCHED
    )
    assert read(folder_with(tmp_path / "b", preprocessor_config=MOLMO)) == ImageProcessorConfig.released(
        PADDED
    )


@pytest.mark.parametrize(("family", "style"), [("molmo", PADDED), ("molmo2", STRETCHED)])
def test_model_type_alone_gives_the_defaults(tmp_path, family, style):
    config = read_image_processing(folder_with(tmp_path, config={"model_type": family}))
    assert config == ImageProcessorConfig.released(style)


def test_every_molmo2_key_is_read(tmp_path):
    changed = MOLMO2 | {
        "size": {"height": 160, "width": 160}, "patch_size": 16, "max_crops": 3, "overlap_margins": [1, 2],
        "pooling_size": [3, 2], "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6],
    }  # fmt: skip
    files = {"preprocessor_config": changed, "processor_config": {"use_single_crop_col_tokens": True}}
    assert read_image_processing(folder_with(tmp_path, **files)) == ImageProcessorConfig(
        STRETCHED, 160, 16, 3, (1, 2), (3, 2), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), low_res_columns=True
    )


def test_every_molmo_key_is_read(tmp_path):
    changed = MOLMO | {
        "base_image_input_size": [192, 192], "image_patch_size": 16, "image_token_length_w": 4,
        "image_token_length_h": 4, "max_crops": 3, "overlap_margins": [3, 3], "image_mean": [0.1, 0.2, 0.3],
        "image_std": [0.4, 0.5, 0.6],
    }  # fmt: skip
    found = read_image_processing(folder_with(tmp_path, preprocessor_config=changed))
    assert found == ImageProcessorConfig(
        PADDED, 192, 16, 3, (3, 3), (3, 3), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), low_res_columns=True
    )


def test_settings_nested_in_processor_config(tmp_path):
    nested = {"image_processor": MOLMO2 | {"max_crops": 5}, "processor_class": "Molmo2Processor"}
    config = read_image_processing(folder_with(tmp_path, processor_config=nested))
    assert config == ImageProcessorConfig.released(STRETCHED, max_crops=5)


@pytest.mark.parametrize(("written", "columns"), [(True, True), (False, False), (None, True)])
def test_low_res_columns_as_written(tmp_path, written, columns):
    """Null means as in the tiles, which always have them (processing_molmo2.py)."""
    files = {"preprocessor_config": MOLMO2, "processor_config": {"use_single_crop_col_tokens": written}}
    assert read_image_processing(folder_with(tmp_path, **files)).low_res_columns is columns


def test_low_res_columns_count_as_tokens():
    with_columns, without = (
        image_cost(ImageProcessorConfig.released(STRETCHED, low_res_columns=columns), (480, 640))
        for columns in (True, False)
    )
    assert with_columns.tokens == without.tokens + 14


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "neither"),
        ({"preprocessor_config": "{"}, "JSON"),
        ({"preprocessor_config": "[1]"}, "list"),
        ({"config": {"model_type": "llava"}}, "llava.*molmo2"),
        ({"preprocessor_config": MOLMO2 | {"size": {"height": 378, "width": 336}}}, "378 x 336"),
        ({"preprocessor_config": MOLMO2 | {"size": {"shortest_edge": 378}}}, "height"),
        ({"preprocessor_config": MOLMO2 | {"size": {"height": 380, "width": 380}}}, "380"),
        ({"preprocessor_config": MOLMO2 | {"resample": 3}}, "resample"),
        ({"preprocessor_config": MOLMO2 | {"do_normalize": False}}, "do_normalize"),
        ({"preprocessor_config": MOLMO2 | {"overlap_margins": [14, 13]}}, "overlap_margins"),
        ({"preprocessor_config": MOLMO2 | {"overlap_margins": [4]}}, "overlap_margins"),
        ({"preprocessor_config": MOLMO2 | {"max_crops": 0}}, "max_crops"),
        ({"preprocessor_config": MOLMO2 | {"image_std": [0.5, 0, 0.5]}}, "std"),
        ({"preprocessor_config": MOLMO2 | {"image_mean": "half"}}, "image_mean|half|settings"),
        (
            {"preprocessor_config": MOLMO2, "processor_config": {"use_single_crop_start_token": False}},
            "use_single_crop_start_token is False; only True",
        ),
        (
            {"preprocessor_config": MOLMO2, "processor_config": {"image_use_col_tokens": False}},
            "image_use_col_tokens is False; only True",
        ),
        ({"preprocessor_config": MOLMO | {"image_padding_mask": False}}, "image_padding_mask"),
        ({"preprocessor_config": MOLMO | {"overlap_margins": [3, 3]}}, "pooling"),
        ({"preprocessor_config": MOLMO | {"image_token_length_w": 7}}, "7"),
        ({"processor_config": {"image_processor": [1]}}, r"image_processor is \[1\], not a JSON object"),
        ({"processor_config": {"image_processor": "x"}}, "image_processor is 'x', not a JSON object"),
        ({"preprocessor_config": MOLMO | {"image_patch_size": 0}}, "image_patch_size is 0; .* at least 1"),
        (
            {"preprocessor_config": MOLMO | {"image_token_length_h": 0}},
            "image_token_length_h is 0; .* at least 1",
        ),
        ({"preprocessor_config": MOLMO2 | {"patch_size": math.inf}}, "patch_size is inf; .* whole number"),
        ({"preprocessor_config": MOLMO2 | {"patch_size": math.nan}}, "patch_size is nan; .* whole number"),
        ({"preprocessor_config": MOLMO2 | {"patch_size": 13.5}}, "patch_size is 13.5; .* whole number"),
        ({"preprocessor_config": MOLMO2 | {"pooling_size": [1e9, 1e9]}}, "from 1 to the 27 of a crop"),
        ({"preprocessor_config": MOLMO2 | {"pooling_size": [28, 2]}}, "from 1 to the 27 of a crop"),
        ({"preprocessor_config": MOLMO2 | {"max_crops": 1001}}, "max_crops is 1001; it must be at most 1000"),
        ({"preprocessor_config": MOLMO2 | {"max_crops": 2.5}}, "max_crops is 2.5; .* whole"),
        ({"preprocessor_config": MOLMO2 | {"max_crops": True}}, "max_crops is True; .* whole"),
        (
            {"preprocessor_config": MOLMO2 | {"overlap_margins": [math.inf, 4]}},
            "cannot be read: OverflowError",
        ),
        ({"preprocessor_config": MOLMO2 | {"image_std": [0.5, math.inf, 0.5]}}, "3 finite numbers"),
        ({"preprocessor_config": MOLMO2 | {"image_mean": [0.5, math.nan, 0.5]}}, "3 finite numbers"),
        ({"preprocessor_config": MOLMO2 | {"image_mean": [10**400, 0, 0]}}, "cannot be read: OverflowError"),
        ({"preprocessor_config": "[" * 100_000}, "not valid JSON"),
    ],
)
def test_what_cannot_be_done_is_refused(tmp_path, files, message):
    with pytest.raises(CheckpointError, match=message):
        read_image_processing(folder_with(tmp_path, **files))


def test_unknown_style(tmp_path):
    files = {"preprocessor_config": MOLMO2 | {"image_processor_type": "CroppedImageProcessor"}}
    with pytest.raises(CheckpointError, match="cropped.*Molmo2ImageProcessor, MolmoImageProcessor, molmo, "):
        read_image_processing(folder_with(tmp_path, **files))


@pytest.mark.parametrize(
    ("kind", "style"),
    [
        ("MolmoImageProcessor", PADDED),
        ("Molmo2ImageProcessor", STRETCHED),
        ("Molmo2ImageProcessorFast", STRETCHED),
        ("MolmoPointImageProcessor", STRETCHED),
    ],
)
def test_the_settings_own_type_goes_before_the_models(tmp_path, kind, style):
    settings = {"image_processor_type": kind}
    for model in ("molmo", "molmo2"):
        files = {"preprocessor_config": settings, "config": {"model_type": model}}
        assert read_image_processing(folder_with(tmp_path, **files)).style == style


def test_styles_are_equal_to_themselves_only():
    assert PaddedStyle() == PADDED != STRETCHED == StretchedStyle()
    sizes = {"crop_size": 336, "patch_size": 14}
    assert ImageProcessorConfig(PADDED, **sizes) != ImageProcessorConfig(STRETCHED, **sizes)
