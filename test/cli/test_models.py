import json
from pathlib import Path

import pytest

from molmo_ros.cli import models
from molmo_ros.cli.main import main

FOLDER = Path(__file__).parents[2] / "config" / "models"
FIELDS = {
    "name": str, "hub_id": (str, type(None)), "family": str, "licence": str, "parameters": float,
    "memory_bf16_gb": float, "language_model": str, "vision_tower": str, "point_format": str,
    "verified": list, "not_verified": list,
}  # fmt: skip


@pytest.mark.parametrize("entry", models.load_models(FOLDER), ids=lambda entry: entry["name"])
def test_every_model_has_every_field(entry):
    for name, kind in FIELDS.items():
        assert isinstance(entry[name], kind), name
    assert (FOLDER / f"{entry['name']}.yaml").is_file()
    assert entry["point_format"] == {"molmo": "percent", "molmo2": "per_mille"}[entry["family"]]
    assert entry["verified"]


def test_json_is_one_object_with_the_embedded_model_first(capsys):
    assert main(["models", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)["models"]
    assert entries[0]["name"] == "tiny" and entries[0]["hub_id"] is None
    assert len(entries) == len(list(FOLDER.glob("*.yaml")))


def test_table_names_every_model_and_what_was_not_verified(capsys):
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    for entry in models.load_models(FOLDER):
        assert entry["name"] in out
        for fact in (*entry["verified"], *entry["not_verified"]):
            assert fact in out
