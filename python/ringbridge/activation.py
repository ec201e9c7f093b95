# SPDX-License-Identifier: MIT
"""Which environment variables the other interpreter gets.

A pure function: reads nothing, runs nothing. (The activation scripts of conda packages are not
run yet.)
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def environ_for(
    environment: Environment,
    *,
    base: Mapping[str, str],
    environ: Mapping[str, str] | None = None,
    keep_environ: Collection[str] = (),
    threads: int | None = None,
) -> dict[str, str]:
    """The variables for a process of `environment`, started from one that has `base`.

    `keep_environ` names variables of `base` to keep in any case (a star at the end: all that begin
    so); `threads` sets the usual thread-count variables; `environ` has the last word.
    """
    _check(environ, keep_environ, threads)
    result = {
        name: value
        for name, value in base.items()
        if _matches(name, keep_environ) or not _matches(name, SCRUBBED)
    }
    result.update(_of_environment(environment, base))
    if threads is not None:
        result.update(dict.fromkeys(THREAD_COUNTS, str(threads)))
    result.update(environ or {})
    return result


def _of_environment(environment: Environment, base: Mapping[str, str]) -> dict[str, str]:
    prefix = environment.prefix
    bin_folder = os.path.join(prefix, "bin")
    if environment.kind == "plain":  # its prefix is only a guess
        bin_folder = os.path.dirname(environment.python)
    rest = [part for part in base.get("PATH", _DEFAULT_PATH).split(":") if part != bin_folder]
    result = {"PYTHONNOUSERSITE": "1", "PATH": ":".join([bin_folder, *rest])}
    if environment.kind == "venv":
        result["VIRTUAL_ENV"] = prefix
    elif environment.kind == "conda":
        # conda's own rule: one that is neither the base nor in a folder `envs` goes by its path.
        named = os.path.basename(os.path.dirname(prefix)) == "envs" or environment.name == "base"
        name = environment.name if named else prefix
        result["CONDA_PREFIX"] = prefix
        result["CONDA_SHLVL"] = "1"
        result["CONDA_DEFAULT_ENV"] = name
        result["CONDA_PROMPT_MODIFIER"] = f"({name}) "
    return result


def _matches(name: str, patterns: Collection[str]) -> bool:
    return any(
        name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
        for pattern in patterns
    )


def _check(
    environ: Mapping[str, str] | None, keep_environ: Collection[str], threads: int | None
) -> None:
    if isinstance(keep_environ, str):
        raise TypeError(f"keep_environ must be a list of names: write [{keep_environ!r}]")
    for name in keep_environ:
        if not isinstance(name, str):
            raise TypeError(f"keep_environ must be names, not {type(name).__name__}")
    for name, value in (environ or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"environ[{name!r}] must be a str, not {type(value).__name__}")
        if not name or "=" in name or "\0" in name + value:
            raise ValueError(f"environ[{name!r}]: not a name and value that a process can have")
    if threads is not None:
        if isinstance(threads, bool) or not isinstance(threads, int):
            raise TypeError(f"threads must be an int, not {type(threads).__name__}")
        if threads < 1:
            raise ValueError(f"threads must be 1 or more, not {threads}")
