# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What each precision does to the embedded model's answers, in torch: no GPU is needed for it.

`python -m benchmarks.quantisation [MODEL] --scenes 48` prints a Markdown table. Calibration is on scenes of its own;
the scenes that are asked about are those of `molmo_ros.train.precision`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from benchmarks.rounded_parameters import RoundedParameters
from molmo_ros.engine.quality import QualityReport, compare
from molmo_ros.engine.quality_gate import questions, record
from molmo_ros.engine.quantisation.decoder_prompts import calibration_prompts
from molmo_ros.engine.quantisation.decoder_quantiser import quantise_decoder
from molmo_ros.engine.quantisation.formats import QUANTISED
from molmo_ros.engine.quantisation.quantised_linear import QuantisedWeights
from molmo_ros.engine.quantisation.simulated import simulated
from molmo_ros.molmo.catalog.model_store import checkpoint_folder
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.checkpoint import load_checkpoint
from molmo_ros.train.examples import simulated_examples
from molmo_ros.train.held_out import HELD_OUT
from molmo_ros.train.precision import scenes_with_queries

DTYPE = torch.bfloat16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="tiny")
    parser.add_argument("--scenes", type=int, default=48)
    parser.add_argument("--queries", type=int, default=8, help="queries per scene")
    parser.add_argument("--calibration", type=int, default=64, help="scenes to calibrate on")
    args = parser.parse_args()
    folder = checkpoint_folder(args.model)
    model = load_checkpoint(folder)
    config, read = model.config.decoder, model.state_dict().__getitem__
    reference = Molmo.from_runtime(TorchRuntime(model), folder)
    prompts = calibration_prompts(reference, list(simulated_examples(args.calibration)))
    seeds = range(HELD_OUT, HELD_OUT + args.scenes)
    pairs = [
        (picture, query.prompt)
        for _, picture, queries in scenes_with_queries(seeds, args.queries)
        for query in queries
    ]
    asked = questions(reference.crop_budget, pairs)
    expected = record(reference, asked)
    print("| precision | identical | as many points | drift, median [px] | 95 % | largest |")
    print("|---|---|---|---|---|---|")
    for name in ("float16", "bfloat16"):
        sixteen = Molmo.from_pretrained(folder, dtype=name)
        print(_row(name, compare(expected, record(sixteen, asked))), flush=True)
    for precision in QUANTISED:
        with tempfile.TemporaryDirectory() as work:
            calibrated = quantise_decoder(Path(work), config, precision, DTYPE, read, prompts)
            ways: dict[str, QuantisedWeights] = {"calibrated": calibrated}
            if precision == "int4":
                ways["rounded to nearest"] = RoundedParameters(config, precision, DTYPE, read)
            for way, quantised in ways.items():
                candidate = Molmo.from_runtime(TorchRuntime(simulated(model, quantised)), folder)
                report = compare(expected, record(candidate, asked))
                print(_row(f"{precision}, {way}", report), flush=True)


def _row(name: str, report: QualityReport) -> str:
    share = [f"{report.identical / report.answers:.1%} of {report.answers}"]
    share += [f"{report.same_number / max(report.with_points, 1):.1%} of {report.with_points}"]
    drifts = [f"{report.drift(percent):.1f}" for percent in (50, 95, 100)]
    return f"| {' | '.join([name, *share, *drifts])} |"


if __name__ == "__main__":
    main()
