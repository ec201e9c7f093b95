# SPDX-License-Identifier: MIT
"""The rules for a worker's variables: what of the host's is taken away, what is set, what is kept.

Pure functions: nothing is read and nothing is run.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from ringbridge.environment import Environment, is_condas_own

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

_OF_THE_PROCESS = ("HOME", "PWD", "OLDPWD", "TMPDIR", "XDG_RUNTIME_DIR")
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def scrubbed(base: Mapping[str, str], keep_environ: Collection[str] = ()) -> dict[str, str]:
    """The host's variables without those that break another Python."""
    return {
        name: value
        for name, value in base.items()
        if matches(name, keep_environ) or not matches(name, SCRUBBED)
    }


def without_places_in(
    folder: str, variables: Mapping[str, str], keep_environ: Collection[str] = ()
) -> dict[str, str]:
    """The variables without the paths into an environment's folder: of a list those parts are left
    out, and what has no other part is taken away.

    What lies in conda's own, and is no part of that environment, is not meant: the others in its
    `envs`, and `condabin`, which stays on PATH when conda deactivates.
    """
    inside, beside = f"{folder}/", (f"{folder}/envs/", f"{folder}/condabin")
    result = {}
    for name, value in variables.items():
        parts = value.split(":")
        left = [
            part
            for part in parts
            if part != folder and (not part.startswith(inside) or part.startswith(beside))
        ]
        if len(left) == len(parts) or matches(name, (*_OF_THE_PROCESS, *keep_environ)):
            result[name] = value
        elif any(left):
            result[name] = ":".join(left)
    return result


def of_environment(environment: Environment, host: Mapping[str, str]) -> dict[str, str]:
    """What says to a process where it runs: PATH, before that of `host`, CONDA_PREFIX, ..."""
    prefix = environment.prefix
    bin_folder = os.path.join(prefix, "bin")
    if environment.kind == "plain":  # its prefix is only a guess
        bin_folder = os.path.dirname(environment.python)
    # No PATH, or an empty one, would leave the working folder for programs to be looked for in.
    path = host.get("PATH") or _DEFAULT_PATH
    rest = [part for part in path.split(":") if part != bin_folder]
    result = {"PYTHONNOUSERSITE": "1", "PATH": ":".join([bin_folder, *rest])}
    if environment.kind == "venv":
        result["VIRTUAL_ENV"] = prefix
    elif environment.kind in ("conda", "pixi"):
        name = _conda_name(prefix)
        result["CONDA_PREFIX"] = prefix
        result["CONDA_SHLVL"] = "1"
        result["CONDA_DEFAULT_ENV"] = name
        result["CONDA_PROMPT_MODIFIER"] = f"({name}) "
    return result


def _conda_name(prefix: str) -> str:
    """conda's own rule: what is neither conda itself nor in a folder `envs` goes by its path."""
    if is_condas_own(prefix):
        return "base"
    named = os.path.basename(os.path.dirname(prefix)) == "envs"
    return os.path.basename(prefix) if named else prefix


def matches(name: str, patterns: Collection[str]) -> bool:
    """Whether a pattern means this name; a star at its end stands for any rest."""
    return any(
        name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
        for pattern in patterns
    )
