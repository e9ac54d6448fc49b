# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How `molmo2-4b-tiles` was made: a picture of 2x2 tiles through transformers' own Molmo2, with the weights of
`molmo2-4b-tiny`. Run it as `python test/vectors/make_tiles.py`; the other vectors have 1x1 and 1x2 tiles."""

from pathlib import Path

import numpy as np
import torch
from transformers import Molmo2ForConditionalGeneration

from molmo_ros.molmo.catalog.model_parts import read_image_processing
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig

VECTORS = Path(__file__).parent
SOURCE, TARGET = VECTORS / "molmo2-4b-tiny", VECTORS / "molmo2-4b-tiles"
BOS, WORDS, ANSWER = 3, 12, 6
IDS = {"low_start": 324, "end": 321, "start": 320, "patch": 322, "column": 323}


def picture() -> np.ndarray:
    """Coloured areas with edges in every tile, uint8 RGB [500, 600, 3]; few enough to be stored in little."""
    random = np.random.default_rng(22)
    image = np.full((500, 600, 3), (90, 120, 60), np.uint8)
    for _ in range(14):
        top, left = random.integers(0, 430), random.integers(0, 520)
        height, width = random.integers(30, 160, 2)
        image[top : top + height, left : left + width] = random.integers(0, 256, 3)
    return image


@torch.inference_mode()
def main() -> None:
    image = picture()
    processed = ImageProcessor(read_image_processing(SOURCE))(image)
    assert processed.tiling == (2, 2)
    (low_rows, low_columns), (rows, columns) = processed.low_res_grid, processed.high_res_grid
    of_image = [IDS["low_start"], *[IDS["patch"]] * (low_rows * low_columns), IDS["end"], IDS["start"]]
    of_image += [*[IDS["patch"]] * columns, IDS["column"]] * rows + [IDS["end"]]
    words = np.random.default_rng(5).integers(5, 320, WORDS)
    ids = torch.tensor([[BOS, *of_image, *words]])
    kinds = torch.isin(ids, torch.tensor(sorted(IDS.values()))).long()
    given = {
        "pixel_values": torch.from_numpy(processed.crops),
        "image_token_pooling": torch.from_numpy(processed.pooling),
        "image_grids": torch.tensor([[low_rows, low_columns, rows, columns]]),
    }
    model = Molmo2ForConditionalGeneration.from_pretrained(SOURCE, attn_implementation="eager").eval()
    output = model(input_ids=ids, mm_token_type_ids=kinds, **given)
    answer = model.generate(
        input_ids=ids,
        mm_token_type_ids=kinds,
        max_new_tokens=ANSWER,
        min_new_tokens=ANSWER,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
        **given,
    )
    positions = np.unique([*range(0, ids.shape[1], 41), *range(ids.shape[1] - WORDS - 2, ids.shape[1])])
    TARGET.mkdir(exist_ok=True)
    (TARGET / "config.json").write_bytes((SOURCE / "config.json").read_bytes())
    weights = TARGET / "model.safetensors"
    if not weights.exists():
        weights.symlink_to(Path("..") / SOURCE.name / weights.name)
    np.savez_compressed(
        TARGET / "input.npz",
        input_ids=ids,
        token_type_ids=kinds,
        image_u8=image,
        image_num_crops=np.array([len(processed.crops)]),
        **given,
    )
    np.savez_compressed(
        TARGET / "logits.npz",
        positions=positions,
        logits=output.logits[:, positions],
        vision_features=output.image_hidden_states,
        text_only_logits=model(input_ids=ids[:, -9:]).logits,
        greedy_tokens=answer.sequences[0, ids.shape[1] :],
        greedy_logits=torch.cat(answer.logits),
    )


if __name__ == "__main__":
    main()
