# SPDX-License-Identifier: MIT
"""Which environment variables the other interpreter gets: the host's, scrubbed; the environment's;
and what the user sets.

    host's --scrub--> --PATH, CONDA_*--> --its files' variables--> --scripts (cached)--> + user's

What an environment's files say is conda's and pixi's to read; running scripts is scripts'; their
result is kept by cache.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from ringbridge.activation import cache
from ringbridge.activation.recipe import Recipe
from ringbridge.environment import Environment

#: What a host sets for itself, and what breaks another Python that inherits it. A name with a
#: star at its end stands for all that begin so.
SCRUBBED = (
    # Python's own: a foreign PYTHONHOME gives "No module named 'encodings'"
    *("PYTHON*", "__PYVENV_LAUNCHER__", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT"),
    *("PYENV_VERSION", "PIP_*"),
    # the loader: "GLIBCXX_3.4.29 not found"
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_*"),
    # geodata: "DATABASE.LAYOUT.VERSION.MINOR = 0"
    *("PROJ_*", "GDAL_*", "GEOTIFF_CSV", "VSI_CACHE*", "GISBASE", "GISRC", "GRASS_*"),
    # toolkits
    *("QT_PLUGIN_PATH", "QT_QPA_PLATFORM_PLUGIN_PATH", "QML2_IMPORT_PATH", "QT_API"),
    *("GTK_PATH", "GI_TYPELIB_PATH", "GIO_MODULE_DIR", "LIBGL_DRIVERS_PATH"),
    *("TCL_LIBRARY", "TK_LIBRARY", "MPLBACKEND"),  # a notebook's is a module of its own
    # certificates
    *("SSL_CERT_*", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "OPENSSL_CONF"),
    # applications
    *("QGIS_*", "OSGEO4W_ROOT", "O4W_*", "BLENDER_*", "MAYA_*", "HFS", "HOUDINI_PATH"),
    # other environments: with CONDA_SHLVL left, activating would be a *re*activation
    *("CONDA_*", "__CONDA_SHLVL_*", "PIXI_*"),
)

THREAD_COUNTS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS", "BLIS_NUM_THREADS"),
)

SCRIPTS_S = 30.0  # for all of an environment's scripts
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Wishes:
    """What a user wants beside the environment's own; checked when it is made.

    environ       has the last word
    keep_environ  names of the host's variables to keep in any case (a star at the end: all that
                  begin so), also where the environment's scripts set them
    threads       sets the usual thread-count variables
    """

    environ: Mapping[str, str] = field(default_factory=dict)
    keep_environ: Collection[str] = ()
    threads: int | None = None

    def __post_init__(self) -> None:
        _check(self.environ, self.keep_environ, self.threads)


def environ_for(
    environment: Environment,
    base: Mapping[str, str],
    wishes: Wishes | None = None,
    *,
    timeout_s: float = SCRIPTS_S,
    abandoned: Callable[[], bool] = lambda: False,
    cached: bool = True,
) -> dict[str, str]:
    """The variables for a process of `environment`, started from one that has `base`.

    Runs the environment's activation scripts, unless their effect is in the user's cache (and
    `cached`). Raises ActivationFailed. `abandoned` is asked while they run: True ends them.
    """
    wishes = wishes or Wishes()
    recipe = recipe_of(environment)
    before = before_scripts(environment, recipe, base, wishes)
    result = _after_scripts(environment, recipe, before, timeout_s, abandoned, cached)
    static = _of_environment(environment, base)
    kept = (name for name in base if matches(name, wishes.keep_environ) and name not in static)
    result.update({name: base[name] for name in kept})
    if wishes.threads is not None:
        result.update(dict.fromkeys(THREAD_COUNTS, str(wishes.threads)))
    result.update(wishes.environ)
    return result


def differs(environment: Environment, entry: cache.Entry, base: Mapping[str, str]) -> list[str]:
    """The variables that the scripts would leave with other values now than the entry says.

    None are told where the entry is not taken in any case. Raises ActivationFailed.
    """
    recipe = recipe_of(environment)
    before = before_scripts(environment, recipe, base, Wishes())
    known = entry.applied(before)
    if known is None or entry.by_hand or not entry.fits(recipe):
        return []
    after = _after_scripts(environment, recipe, before, SCRIPTS_S, lambda: False, cached=False)
    return list(cache.differences(known, after))


def recipe_of(environment: Environment) -> Recipe:
    """What the environment's files say about its activation; nothing for a plain interpreter.

    Raises ActivationFailed for a file that is not what it has to be.
    """
    recipe = Recipe()
    if environment.kind in ("conda", "pixi"):
        from ringbridge.activation import conda

        conda.read(environment.prefix, recipe)
    if environment.kind == "pixi":
        from ringbridge.activation import pixi

        pixi.read(environment, recipe)
    return recipe


def before_scripts(
    environment: Environment,
    recipe: Recipe,
    base: Mapping[str, str],
    wishes: Wishes,
) -> dict[str, str]:
    """The variables that the environment's scripts begin with. A pure function."""
    result = {
        name: value
        for name, value in base.items()
        if matches(name, wishes.keep_environ) or not matches(name, SCRUBBED)
    }
    result.update(_of_environment(environment, base))
    for name, value in recipe.variables.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result


def _after_scripts(
    environment: Environment,
    recipe: Recipe,
    before: dict[str, str],
    timeout_s: float,
    abandoned: Callable[[], bool],
    cached: bool,
) -> dict[str, str]:
    entry = cache.load(environment.prefix) if cached else None
    if entry is not None and (entry.by_hand or entry.fits(recipe)):
        known = entry.applied(before)
        if known is not None:
            return known
    if not recipe.scripts and not recipe.exports:
        return before
    from ringbridge.activation import scripts

    after = scripts.run(
        recipe.exports, recipe.scripts, before, timeout_s=timeout_s, abandoned=abandoned
    )
    if cached:
        changes = cache.differences(before, after)
        with contextlib.suppress(OSError):  # without a cache it is done again next time
            cache.store(environment.prefix, recipe, changes)
    return after


def captured(environment: Environment, recipe: Recipe, base: Mapping[str, str]) -> cache.Changes:
    """What the environment's scripts change now, whatever the cache says. Stores nothing.

    Raises ActivationFailed.
    """
    before = before_scripts(environment, recipe, base, Wishes())
    after = _after_scripts(environment, recipe, before, SCRIPTS_S, lambda: False, cached=False)
    return cache.differences(before, after)


def _of_environment(environment: Environment, base: Mapping[str, str]) -> dict[str, str]:
    prefix = environment.prefix
    bin_folder = os.path.join(prefix, "bin")
    if environment.kind == "plain":  # its prefix is only a guess
        bin_folder = os.path.dirname(environment.python)
    # As deactivating would: the programs of what the host has activated are not for this one.
    active = (base[name] for name in ("CONDA_PREFIX", "VIRTUAL_ENV") if name in base)
    left = {bin_folder, *(os.path.join(each, "bin") for each in active)}
    rest = [part for part in base.get("PATH", _DEFAULT_PATH).split(":") if part not in left]
    result = {"PYTHONNOUSERSITE": "1", "PATH": ":".join([bin_folder, *rest])}
    if environment.kind == "venv":
        result["VIRTUAL_ENV"] = prefix
    elif environment.kind in ("conda", "pixi"):
        # conda's own rule: one that is neither the base nor in a folder `envs` goes by its path.
        named = os.path.basename(os.path.dirname(prefix)) == "envs" or environment.name == "base"
        name = environment.name if named else prefix
        result["CONDA_PREFIX"] = prefix
        result["CONDA_SHLVL"] = "1"
        result["CONDA_DEFAULT_ENV"] = name
        result["CONDA_PROMPT_MODIFIER"] = f"({name}) "
    return result


def matches(name: str, patterns: Collection[str]) -> bool:
    """Whether a pattern means this name; a star at its end stands for any rest."""
    return any(
        name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
        for pattern in patterns
    )


def _check(environ: Mapping[str, str], keep_environ: Collection[str], threads: int | None) -> None:
    if isinstance(keep_environ, str):
        raise TypeError(f"keep_environ must be a list of names: write [{keep_environ!r}]")
    for name in keep_environ:
        if not isinstance(name, str):
            raise TypeError(f"keep_environ must be names, not {type(name).__name__}")
    for name, value in environ.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"environ[{name!r}] must be a str, not {type(value).__name__}")
        if not name or "=" in name or "\0" in name + value:
            raise ValueError(f"environ[{name!r}]: not a name and value that a process can have")
    if threads is not None:
        if isinstance(threads, bool) or not isinstance(threads, int):
            raise TypeError(f"threads must be an int, not {type(threads).__name__}")
        if threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads}")
