# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The documentation's site as `make docs` builds it: whole, without a warning, and every link leads somewhere."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
INDEX = "index.html"
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in (
        "*.md",
        "*.rst",
        "docs/*.md",
        "docs/*.rst",
        "docs/api/*.rst",
        "[a-z]*/README.md",
        "interfaces/molmo_msgs/*.rst",
    )
    for path in ROOT.glob(pattern)
)
PICTURES = sorted(path.name for path in (ROOT / "docs").iterdir() if path.suffix in (".png", ".gif", ".svg"))
HEAVY = ("mujoco", "onnx", "onnxruntime", "rclpy", "tensorrt", "tensorrt_rtx", "torch", "transformers")
"""What documentation is built without, as on a machine that has nothing but sphinx."""

pytestmark = [
    # Other versions of sphinx, with which nothing else here is tried, are the newest that run on Python 3.10.
    pytest.mark.skipif(sys.version_info < (3, 11), reason="the pinned sphinx needs Python 3.11")
]


def build(source: Path, target: Path, without: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Builds a site by the Makefile's own words, where importing what is heavy raises."""
    if importlib.util.find_spec("sphinx") is None:
        pytest.fail("sphinx is not installed: run requirements/install.sh docs once")
    recipe = (ROOT / "Makefile").read_text().split("\ndocs:")[1].split("-m sphinx ")[1].splitlines()[0]
    options = (*recipe.removesuffix("$(ARGS) . build/docs").split(), *options)
    for name in HEAVY:
        (without / f"{name}.py").write_text(f"raise ImportError('{name} is not for documentation')\n")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        *options,
        "-d",
        str(target / "doctrees"),
        ".",
        str(target / "html"),
    ]
    environment = os.environ | {"PYTHONPATH": str(without), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)


@dataclass
class Page(HTMLParser):
    """What an HTML page links to, shows and can be linked at."""

    links: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    text: str = ""

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "img":
            self.pictures.append(found["src"])

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder, tmp_path_factory.mktemp("without"))
    assert done.returncode == 0 and not done.stderr, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site):
    def read(path):
        page = Page()
        page.feed(path.read_text(encoding="utf-8"))
        return page

    return {path.relative_to(site).as_posix(): read(path) for path in sorted(site.rglob("*.html"))}


def leads_to(page: str, link: str) -> tuple[str, str]:
    """The file, from the site's top, and the anchor that a link of a page leads to."""
    parts = urlsplit(link)
    path = os.path.normpath(os.path.join(os.path.dirname(page), unquote(parts.path))) if parts.path else page
    return path, unquote(parts.fragment)


def test_every_page_of_the_repository_is_in_it(pages):
    assert len(PAGES) > 30
    assert [page for page in PAGES if page.rsplit(".", 1)[0] + ".html" not in pages] == []


def test_every_page_is_reached_from_the_index(pages):
    @cache
    def linked(page):
        return {leads_to(page, link)[0] for link in pages[page].links if not urlsplit(link).scheme} & set(
            pages
        )

    reached, fresh = {INDEX}, {INDEX}
    while fresh:
        fresh = set().union(*map(linked, fresh)) - reached
        reached |= fresh
    assert set(pages) - reached <= {"search.html"}


def test_every_link_and_anchor_leads_somewhere(site, pages):
    inner = [
        (page, link) for page, found in pages.items() for link in found.links if not urlsplit(link).scheme
    ]
    assert len(inner) > 1000
    lost = []
    for page, link in inner:
        path, anchor = leads_to(page, link)
        known = pages[path].anchors if path in pages else set()
        if not (site / path).is_file() or (anchor and anchor not in known):
            lost.append((page, link))
    assert lost == []


def test_links_out_are_whole_addresses(pages):
    outer = {link for found in pages.values() for link in found.links if urlsplit(link).scheme}
    assert outer
    assert [
        link for link in outer if urlsplit(link).scheme != "https" or "." not in urlsplit(link).netloc
    ] == []


def test_every_picture_is_shown(site, pages):
    shown = {leads_to(page, picture)[0] for page, found in pages.items() for picture in found.pictures}
    assert all((site / picture).is_file() for picture in shown)
    assert PICTURES and set(PICTURES) <= {Path(picture).name for picture in shown}


@pytest.mark.parametrize(
    "page, words",
    [
        (
            "docs/api/molmo.html",
            "The label is empty or too long",
        ),  # an error of Molmo.point, from its docstring
        ("docs/api/geometry.html", "distance along the optical axis"),
        ("docs/api/interfaces.html", "geometry_msgs/Pose pose"),
        ("docs/parameters.html", "max_frame_age"),
    ],
)
def test_docstrings_and_definitions_are_in_it(pages, page, words):
    assert words in pages[page].text


def test_a_page_that_is_in_no_list_fails_the_build(tmp_path):
    """So does a link that leads nowhere, which the same page has."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for path in ROOT.iterdir():
        # Pages are copied, as they are not looked for behind links.
        if path.name in ("docs", "interfaces"):
            shutil.copytree(path, checkout / path.name, symlinks=True)
        elif f"{path.name}/README.md" in PAGES:
            (checkout / path.name).mkdir()
            shutil.copy(path / "README.md", checkout / path.name)
        elif path.name in PAGES:
            shutil.copy(path, checkout)
        elif path.name not in (".git", ".venv"):
            (checkout / path.name).symlink_to(path)
    (checkout / "docs" / "stray.md").write_text("# Stray\n\n[nowhere](nowhere.md)\n")
    done = build(checkout, tmp_path, tmp_path, "-b", "dummy")
    assert done.returncode != 0
    complaints = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert complaints and all("stray.md" in line for line in complaints), done.stderr
    assert "isn't included in any toctree" in done.stderr or "not included in any toctree" in done.stderr
    assert "nowhere.md" in done.stderr
