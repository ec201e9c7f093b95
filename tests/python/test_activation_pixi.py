# SPDX-License-Identifier: MIT
"""What pixi's manifest adds to an environment's activation."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from rbr_testing.prefixes import conda_prefix, environ, failure

from ringbridge import ActivationFailed
from ringbridge.activation import environ_for
from ringbridge.environment import Environment

MANIFEST = """
[workspace]
name = "terrain"
version = "1.2"
platforms = ["linux-64", "linux-aarch64"]

[activation]
scripts = ["first.sh"]
env = { A = "default", B = "default", ROOT = "$PIXI_PROJECT_ROOT/data", QUOTED = 'a "b" \\\\c' }

[target.unix.activation]
env = { U = "unix", A = "unix" }

[feature.gpu.activation]
scripts = ["gpu.sh"]
env = { B = "gpu" }

[feature.gpu.target.linux.activation]
scripts = ["gpu linux.sh"]

[feature.slow.activation]
env = { B = "slow", C = "slow" }

[environments]
gpu = ["gpu", "slow"]
bare = { features = ["slow"], no-default-feature = true }
"""


def pixi(root: Path, name: str = "default", manifest: str = MANIFEST) -> Environment:
    made = conda_prefix(root / ".pixi/envs" / name)
    (root / "pixi.toml").write_text(manifest)
    for script_name in ("first.sh", "gpu.sh", "gpu linux.sh"):
        (root / script_name).write_text(f'export ORDER="$ORDER {script_name}"\n')
    return Environment(made.prefix, made.python, "pixi", name)


def test_pixis_default_environment_gets_its_manifests_variables(tmp_path: Path) -> None:
    result = environ(pixi(tmp_path))
    expected = {
        "A": "unix",
        "B": "default",
        "U": "unix",
        "ROOT": f"{tmp_path}/data",
        "QUOTED": 'a "b" \\\\c',
        "ORDER": " first.sh",
        "PIXI_PROJECT_ROOT": str(tmp_path),
        "PIXI_PROJECT_NAME": "terrain",
        "PIXI_PROJECT_VERSION": "1.2",
        "PIXI_PROJECT_MANIFEST": f"{tmp_path}/pixi.toml",
        "PIXI_ENVIRONMENT_NAME": "default",
        "PIXI_ENVIRONMENT_PLATFORMS": "linux-64,linux-aarch64",
        "PIXI_IN_SHELL": "1",
        "PIXI_PROMPT": "(terrain) ",
        "CONDA_DEFAULT_ENV": "terrain",
        "CONDA_PREFIX": f"{tmp_path}/.pixi/envs/default",
    }
    assert {name: result.get(name) for name in expected} == expected


def test_pixis_features_come_in_their_order(tmp_path: Path) -> None:
    result = environ(pixi(tmp_path, "gpu"))
    assert [result[name] for name in ("A", "B", "C")] == ["unix", "gpu", "slow"]
    assert result["ORDER"] == " gpu linux.sh first.sh"
    assert result["CONDA_DEFAULT_ENV"] == "terrain:gpu"


def test_pixis_default_feature_can_be_left_out(tmp_path: Path) -> None:
    result = environ(pixi(tmp_path, "bare"))
    assert (result["B"], "A" in result, "ORDER" in result) == ("slow", False, False)


def test_pixis_part_of_a_pyproject_counts(tmp_path: Path) -> None:
    made = pixi(tmp_path)
    (tmp_path / "pixi.toml").unlink()
    text = '[project]\nname = "p"\nversion = "3"\n[tool.pixi.activation.env]\nA = "pyproject"\n'
    (tmp_path / "pyproject.toml").write_text(text)
    result = environ(made)
    assert [result[name] for name in ("A", "PIXI_PROJECT_NAME", "PIXI_PROJECT_VERSION")] == [
        "pyproject",
        "p",
        "3",
    ]


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        ("[activation", "pixi.toml cannot be read as pixi's manifest"),
        (
            '[activation]\nenv = { "A-B" = "$HOME" }\n',
            "'A-B' in .* is no name for a shell",
        ),
        ("activation = 3\n", "is not as pixi wants it"),
        ("environments = 3\n", "is not as pixi wants it"),
        ('[activation]\nenv = { "A=B" = "x" }\n', "'A=B' in .*pixi.toml is no variable"),
    ],
)
def test_a_broken_manifest_is_named(tmp_path: Path, manifest: str, text: str) -> None:
    assert re.search(text, failure(pixi(tmp_path, manifest=manifest)))


def test_a_change_of_the_manifest_is_seen(tmp_path: Path) -> None:
    made = pixi(tmp_path)
    assert environ(made)["A"] == "unix"
    (tmp_path / "pixi.toml").write_text('[activation.env]\nA = "$PIXI_PROJECT_NAME"\n')
    assert environ(made)["A"] == tmp_path.name


def test_a_manifest_is_read_by_the_environments_python_where_ours_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pixi(tmp_path)
    link = Path(made.python)
    link.parent.mkdir()
    link.symlink_to(sys.executable)
    monkeypatch.setitem(sys.modules, "tomllib", None)
    assert environ(made)["A"] == "unix"
    (tmp_path / "pixi.toml").write_text("[")
    assert "cannot be read as pixi's manifest" in failure(made)


def test_pixis_global_environments_have_no_manifest(tmp_path: Path) -> None:
    made = conda_prefix(tmp_path / ".pixi/envs/tools")
    tools = Environment(made.prefix, made.python, "pixi", "tools")
    assert environ(tools)["CONDA_PREFIX"] == made.prefix


def test_a_script_that_is_not_there_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It may come of a build; pixi only warns."""
    made = pixi(tmp_path, manifest='[activation]\nscripts = ["first.sh", "later.sh"]\n')
    assert environ(made)["ORDER"] == " first.sh"
    assert f"{tmp_path}/later.sh, which is not there" in caplog.text
    (tmp_path / "later.sh").write_text("export LATER=1\n")
    assert environ(made)["LATER"] == "1"


def test_the_manifests_variables_come_after_the_scripts(tmp_path: Path) -> None:
    env = 'env = { ORDER = "mine", A = "$ORDER!", B = "$FROM" }'
    made = pixi(tmp_path, manifest=f'[activation]\nscripts = ["first.sh"]\n{env}\n')
    (tmp_path / "first.sh").write_text("export ORDER=script FROM=script\n")
    result = environ(made)
    assert [result[name] for name in ("ORDER", "A", "B")] == ["mine", "mine!", "script"]


def test_a_manifest_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    made = pixi(tmp_path)
    (tmp_path / "pixi.toml").unlink()
    (tmp_path / "pixi.toml").symlink_to("pixi.toml")
    (tmp_path / "pyproject.toml").write_bytes(b"[tool.pixi]\n\xff")
    assert "cannot be read as pixi's manifest" in failure(made)


def test_the_environments_python_gets_no_poison_and_no_more_time_than_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_left: None
) -> None:
    """It reads the manifest for a host whose Python cannot."""
    made = pixi(tmp_path)
    Path(made.python).parent.mkdir()
    seen = tmp_path / "seen"
    Path(made.python).write_text(f"#!/bin/sh\nenv > '{seen}'\nsleep 600\n")
    Path(made.python).chmod(0o755)
    monkeypatch.setitem(sys.modules, "tomllib", None)
    base = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": "/host", "HOME": "/h"}
    with pytest.raises(ActivationFailed, match=r"did not end within 0.5 s"):
        environ_for(made, base, timeout_s=0.5)
    assert "HOME=/h" in seen.read_text()
    assert "LD_LIBRARY_PATH" not in seen.read_text()
