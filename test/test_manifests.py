# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Both packages' manifests and changelogs, as catkin_pkg reads them and bloom with it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml
from catkin_pkg.changelog import Changelog, get_changelog_from_path, populate_changelog_from_rst
from catkin_pkg.cli.tag_changelog import get_forthcoming_label, rename_section
from catkin_pkg.package import parse_package
from catkin_pkg.packages import find_packages

ROOT = Path(__file__).parents[1]
FOLDERS = {"molmo_ros": ROOT, "molmo_msgs": ROOT / "interfaces" / "molmo_msgs"}
PLACE_HOLDER = re.compile(r"\bexample\.(org|com|net)\b")  # RFC 2606: nobody's


@pytest.fixture(params=FOLDERS)
def folder(request):
    return FOLDERS[request.param]


def manifest(folder):
    warnings: list[str] = []
    package = parse_package(str(folder / "package.xml"), warnings=warnings)
    assert warnings == []
    return package


def released(folder):
    """Versions that the changelog gives a date, the newest first."""
    return [version for version, date, _ in get_changelog_from_path(str(folder)).foreach_version() if date]


def test_names_and_one_version():
    assert {name: manifest(folder).name for name, folder in FOLDERS.items()} == {
        name: name for name in FOLDERS
    }
    setup = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    keywords = {node.arg: node.value for node in ast.walk(setup) if isinstance(node, ast.keyword)}
    versions = {name: manifest(folder).version for name, folder in FOLDERS.items()}
    assert versions == dict.fromkeys(FOLDERS, keywords["version"].value)


def test_the_release_tools_see_the_outer_package_alone():
    """As docs/releasing.md says, which is why the inner one is tagged and released by hand."""
    assert [package.name for package in find_packages(str(ROOT)).values()] == ["molmo_ros"]


def test_changelog_is_read(folder):
    """What is to come, too, in the words of the tool that gives it a version and a date."""
    path = folder / "CHANGELOG.rst"
    text = path.read_text(encoding="utf-8")
    label = get_forthcoming_label(text)
    if label:
        text = rename_section(text, label, "999.0.0 (2026-11-30)")
    changelog = populate_changelog_from_rst(Changelog(manifest(folder).name), text)
    assert (label is not None) or released(folder)
    for version, date, content in changelog.foreach_version():
        assert date is not None and content, version
        assert all(entry.as_txt().strip() for entry in content)
    assert not label or changelog.get_date_of_version("999.0.0").year == 2026


def test_versions_in_the_changelog_are_of_the_manifest(folder):
    """The newest that has a date is the manifest's; before the first release there is none."""
    versions = released(folder)
    assert not versions or versions[0] == manifest(folder).version


def test_both_changelogs_know_the_same_releases():
    assert released(FOLDERS["molmo_ros"]) == released(FOLDERS["molmo_msgs"])


def test_licence_is_the_file_that_goes_along(folder):
    package = manifest(folder)
    assert [(one, one.file) for one in package.licenses] == [("Apache-2.0", "LICENSE")]
    text = (folder / "LICENSE").read_text()
    assert text == (ROOT / "LICENSE").read_text() and "Version 2.0, January 2004" in text


def test_addresses_of_each_kind(folder):
    assert sorted(url.type for url in manifest(folder).urls) == ["bugtracker", "repository", "website"]


def test_both_name_the_same_people_and_places():
    told = [
        (
            [(one.name, one.email) for one in package.maintainers],
            [(url.type, url.url) for url in package.urls],
        )
        for package in map(manifest, FOLDERS.values())
    ]
    assert told[0] == told[1]


def test_what_is_to_fill_in_is_marked_until_it_is_filled_in(folder):
    """Addresses that are nobody's stand below a mark; a released version has none of them."""
    text = (folder / "package.xml").read_text(encoding="utf-8")
    places = [line for line in text.splitlines() if PLACE_HOLDER.search(line)]
    assert bool(places) == ("TO FILL IN" in text)
    assert not (places and released(folder)), f"released with {places}"


def test_rosdoc2_is_told_what_to_build(folder):
    names = [export.content for export in manifest(folder).exports if export.tagname == "rosdoc2"]
    assert names == ["rosdoc2.yaml"]
    kind, config = yaml.safe_load_all((folder / names[0]).read_text())
    assert kind == {"type": "rosdoc2 config", "version": 1}
    for builder in config["builders"]:
        source = builder["sphinx"].get("sphinx_sourcedir")
        assert source is None or (folder / source / "conf.py").is_file()
