# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""transformers' own server, in a process: `transformers_server.py PORT FOLDER`.

It wants torchvision for its pictures. PyPI's build is for a torch with CUDA, and its compiled operators do not load
beside a torch for the CPU alone: there they are declared and left without code, and Pillow decodes the pictures.
"""

import io
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch


def declare_operators() -> torch.library.Library:
    """Declares the operators of torchvision that its Python part looks for while it is imported.

    They are there as long as what this returns.
    """
    library = torch.library.Library("torchvision", "FRAGMENT")
    source = Path(find_spec("torchvision").origin).with_name("_meta_registrations.py").read_text()
    for name in re.findall(r'register_fake\("torchvision::(\w+)"\)', source):
        library.define(f"{name}(Tensor values) -> Tensor")
    return library


def decode_image(
    data: torch.Tensor, mode: object = None, apply_exif_orientation: bool = False
) -> torch.Tensor:
    """What torchvision's function of this name makes of a PNG or a JPEG: uint8 [3, h, w]."""
    from PIL import Image

    with Image.open(io.BytesIO(data.numpy().tobytes())) as picture:
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)


if __name__ == "__main__":
    port, folder = int(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    try:
        import torchvision.io
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        declared = declare_operators()
        import torchvision.io

        torchvision.io.decode_image = decode_image
    from transformers.cli.serve import Serve

    Serve(folder, port=port, host="127.0.0.1", device="cpu", dtype="float32")
