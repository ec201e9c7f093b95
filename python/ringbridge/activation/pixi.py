# SPDX-License-Identifier: MIT
"""What pixi adds to an environment's activation: the variables and scripts of its manifest.

    [activation], [target.SYSTEM.activation]             of the project
    [feature.NAME.activation], [feature.NAME.target...]  of a feature
    [environments]  NAME = ["FEATURE", ...]  or  {features = [...], no-default-feature = true}

Source: pixi's activation.rs, environment.rs, feature.rs. Reads files; where this Python has no
reader for TOML (before 3.11), asks the environment's.
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Iterator, Mapping
from typing import Any

from ringbridge.activation.process import Patience, run
from ringbridge.activation.recipe import Recipe, check, stamp
from ringbridge.environment import Environment, pixi_project, read_record
from ringbridge.errors import ActivationFailed

_logger = logging.getLogger("ringbridge.activation")
_MANIFESTS = ("pixi.toml", "pyproject.toml", "mojoproject.toml")  # in pixi's order
_MACHINES = {"x86_64": "64", "aarch64": "aarch64"}
# pip carries a reader of its own; a name alone would be looked for in the project's folder too.
_READER = """
import json, sys
try:
    import tomllib
except ImportError:
    try:
        import tomli as tomllib
    except ImportError:
        from pip._vendor import tomli as tomllib
with open(sys.argv[1], "rb") as file:
    print(json.dumps(tomllib.load(file), default=str))
"""


def read(
    environment: Environment, recipe: Recipe, environ: Mapping[str, str], patience: Patience
) -> None:
    """Adds the manifest's part to a recipe. Raises ActivationFailed when it cannot be read.

    `environ` and `patience` are for the environment's Python, where that has to read it.
    """
    try:
        manifest = _manifest(environment.prefix)
        if manifest is None:  # one of pixi's global environments has none
            return
        stamp(manifest, recipe)
        content = _content(manifest, environment, environ, patience)
        _add(content, os.path.basename(environment.prefix), manifest, recipe)
    except OSError as error:
        raise ActivationFailed(f"pixi's manifest cannot be read: {error}") from None
    except (AttributeError, TypeError, KeyError) as error:
        raise ActivationFailed(f"{manifest} is not as pixi wants it: {error}") from None


def _add(content: dict[str, Any], name: str, manifest: str, recipe: Recipe) -> None:
    recipe.variables.update(_metadata(content, name, manifest))
    parts = list(_activations(content, name))
    for script in (script for _env, scripts in parts for script in scripts):
        path = os.path.join(os.path.dirname(manifest), script)
        stamp(path, recipe)
        if os.path.isfile(path):
            recipe.scripts.append(path)
        else:  # it may come of a build that has not been made yet
            _logger.warning("%s names the activation script %s, which is not there", manifest, path)
    env: dict[str, str] = {}
    for features, _scripts in reversed(parts):  # the first feature has the last word
        env.update({variable: str(value) for variable, value in features.items()})
    for variable, value in env.items():
        check(variable, value, manifest)
        if recipe.scripts or "$" in value or "`" in value:
            if not (variable.isascii() and variable.isidentifier()):
                raise ActivationFailed(f"{variable!r} in {manifest} is no name for a shell")
            recipe.exports[variable] = (value, manifest)
        else:
            recipe.variables[variable] = value


def _manifest(prefix: str) -> str | None:
    record = read_record(os.path.join(prefix, "conda-meta", "pixi")).get("manifest_path")
    if isinstance(record, str) and os.path.isfile(record):
        return record
    project = pixi_project(prefix)
    for name in _MANIFESTS if project else ():
        path = os.path.join(project or "", name)
        if os.path.isfile(path) and (name != "pyproject.toml" or b"[tool.pixi" in _bytes(path)):
            return path
    return None


def _content(
    manifest: str, environment: Environment, environ: Mapping[str, str], patience: Patience
) -> dict[str, Any]:
    import importlib

    try:
        try:
            tomllib: Any = importlib.import_module("tomllib")
        except ImportError:
            content = _asked(manifest, environment, environ, patience)
        else:
            content = tomllib.loads(_bytes(manifest).decode())
        if os.path.basename(manifest) == "pyproject.toml":
            content = {"project": content.get("project", {}), **content["tool"]["pixi"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ActivationFailed(f"{manifest} cannot be read as pixi's manifest: {error}") from None
    return content


def _asked(
    manifest: str, environment: Environment, environ: Mapping[str, str], patience: Patience
) -> dict[str, Any]:
    """The same, by the environment's own Python."""
    import json

    done = run([environment.python, "-I", "-c", _READER, manifest], environ, patience)
    if done.code is None:
        raise ValueError(f"{environment.python} {done.over}")
    if done.code != 0:
        last = done.err.decode(errors="backslashreplace").strip().rpartition("\n")[2]
        raise ValueError(
            "reading TOML takes Python 3.11 or newer, here or in the environment, or a pip in the "
            f"environment ({last})"
        )
    content: dict[str, Any] = json.loads(done.out)
    return content


def _bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _metadata(content: dict[str, Any], name: str, manifest: str) -> dict[str, str]:
    """What pixi tells every environment about itself."""
    project = {**content.get("project", {}), **content.get("workspace", {})}
    root = os.path.dirname(manifest)
    title = str(project.get("name") or os.path.basename(root))
    full_name = title if name == "default" else f"{title}:{name}"
    platforms = [each for each in project.get("platforms", []) if isinstance(each, str)]
    return {
        "PIXI_PROJECT_ROOT": root,
        "PIXI_PROJECT_NAME": title,
        "PIXI_PROJECT_MANIFEST": manifest,
        "PIXI_PROJECT_VERSION": str(project.get("version") or "NO_VERSION_SPECIFIED"),
        "PIXI_IN_SHELL": "1",
        "PIXI_ENVIRONMENT_NAME": name,
        "PIXI_ENVIRONMENT_PLATFORMS": ",".join(platforms),
        "PIXI_PROMPT": f"({full_name}) ",
        "CONDA_DEFAULT_ENV": full_name,
        "CONDA_PROMPT_MODIFIER": f"({full_name}) ",
    }


def _activations(content: dict[str, Any], name: str) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """(env, scripts) of each feature of an environment, the most special first."""
    entry = content.get("environments", {}).get(name, [])
    features = entry if isinstance(entry, list) else entry.get("features", [])
    for feature in features:
        yield _activation(content.get("feature", {}).get(feature, {}))
    if isinstance(entry, list) or not entry.get("no-default-feature", False):
        yield _activation(content)


def _activation(feature: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Of one feature, for this system: scripts of the most special table that has any; variables
    of all of them, the most special one's first."""
    targets = feature.get("target", {})
    names = (f"linux-{_MACHINES.get(platform.machine(), '')}", "linux", "unix")
    tables = [targets.get(name, {}).get("activation", {}) for name in names]
    tables.append(feature.get("activation", {}))
    env: dict[str, Any] = {}
    for table in reversed(tables):
        env.update(table.get("env", {}))
    scripts: list[str] = next((table["scripts"] for table in tables if "scripts" in table), [])
    return env, list(scripts)
