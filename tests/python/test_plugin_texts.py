# SPDX-License-Identifier: MIT
"""What the plugin says can be translated, and is."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "plugin" / "ringbridge_qgis"


def test_each_translation_has_every_text_of_the_sources() -> None:
    command = [sys.executable, ROOT / ".ci" / "plugin_texts", "--check"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 0)


def test_metadata_has_what_the_repository_of_plugins_asks_for() -> None:
    metadata = configparser.ConfigParser(interpolation=None)
    metadata.read(PLUGIN / "metadata.txt", "utf-8")
    general = metadata["general"]
    required = (
        *("name", "description", "version", "qgisMinimumVersion", "author", "email", "about"),
        *("tracker", "repository"),
    )
    assert not [name for name in required if not general.get(name)]
    assert general["hasProcessingProvider"] == "yes"
    assert (general["qgisMinimumVersion"], general["qgisMaximumVersion"]) == ("3.22", "4.99")
    assert "pip install ringbridge" in general["about"]  # what it depends on, outside of it
    assert (PLUGIN / general["icon"]).is_file()


def test_the_help_needs_no_network() -> None:
    page = (PLUGIN / "help" / "index.html").read_text("utf-8")
    assert "http" not in page
    for section in ("setup", "settings"):  # where the Help buttons lead
        assert f'id="{section}"' in page
