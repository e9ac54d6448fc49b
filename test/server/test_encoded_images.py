# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What encoded pictures hold, and which are forgotten."""

import numpy as np

from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.server.encoded_images import EncodedImages, KeptImage

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


class Held:
    def __init__(self, nbytes):
        self.nbytes = nbytes


def test_an_encoded_image_knows_its_memory():
    """Its features first; with its keys and values once it was asked about."""
    molmo = Molmo.from_pretrained("tiny")
    encoded = molmo.encode(IMAGE)
    features = encoded.features.untyped_storage().nbytes()
    assert encoded.nbytes == features
    molmo.ask(encoded, "what?")
    cache = encoded.cache(1)
    assert cache.length == len(encoded.prefix)
    assert encoded.nbytes == features + cache.keys.nbytes + cache.values.nbytes


def test_an_engine_shares_its_cache():
    from molmo_ros.engine.load import load_molmo

    molmo = load_molmo("tiny", engine="onnx")
    encoded = molmo.encode(IMAGE)
    before = encoded.nbytes
    molmo.ask(encoded, "what?")
    assert encoded.nbytes == before > 0


def test_what_was_asked_about_longest_ago_goes_first():
    images = EncodedImages(250)
    for number in range(3):
        images.keep((None, bytes([number])), KeptImage(Held(100)))
        images.get((None, b"\0"))
        images.trim()
    assert [images.get((None, bytes([number]))) is not None for number in range(3)] == [True, False, True]
    assert images.nbytes == 200 and len(images) == 2


def test_the_last_one_is_kept_however_large():
    images = EncodedImages(250)
    images.keep((None, b"a"), KeptImage(Held(1000)))
    images.trim()
    assert images.get((None, b"a")) is not None
    images.clear()
    assert images.get((None, b"a")) is None and images.nbytes == 0
