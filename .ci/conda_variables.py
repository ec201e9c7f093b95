# SPDX-License-Identifier: MIT
"""Packages that set variables when their environment is activated.

The data of GDAL and PROJ come with scripts like those that conda packages have. The package
`ringbridge-test-vars` does everything that such scripts and files may do; what the tests expect of
it stands in tests/python/test_conda_environments.py.
"""

from __future__ import annotations

import json
from pathlib import Path

from conda_archive import Package

#: package -> the variable that its scripts set, and the folder below the prefix
DATA = {"libgdal-data": ("GDAL_DATA", "share/gdal"), "proj-data": ("PROJ_DATA", "share/proj")}

ACTIVATE_DATA = """\
# Keeps what was set before, for deactivation.
if [ -n "${{{name}:-}}" ]; then
    export _CONDA_SET_{name}="${name}"
fi
if [ -d "$CONDA_PREFIX/{place}" ]; then
    export {name}="$CONDA_PREFIX/{place}"
fi
"""
DEACTIVATE_DATA = """\
unset {name}
if [ -n "${{_CONDA_SET_{name}:-}}" ]; then
    export {name}="$_CONDA_SET_{name}"
    unset _CONDA_SET_{name}
fi
"""

FIRST = """\
echo "10-first speaks on stdout"
echo "10-first speaks on stderr" >&2
export RBR_TEST_FIRST="first"
export RBR_TEST_ORDER="first"
export RBR_TEST_TRICKY='two  spaces, "double" quotes, an apostrophe'\\'', a back\\slash,
$HOME `date`, and letters: \u00e4\u00df\u20ac
'
export RBR_TEST_EMPTY=""
RBR_TEST_NOT_EXPORTED="stays in the shell"
# Fails, and reads what is not set: scripts of real packages do both.
false
: $RBR_TEST_NEVER_SET
if [ -n "${RBR_TEST_BACKED_UP:-}" ]; then
    export _CONDA_SET_RBR_TEST_BACKED_UP="$RBR_TEST_BACKED_UP"
fi
export RBR_TEST_BACKED_UP="$CONDA_PREFIX/share/ringbridge-test"
"""
SECOND = """\
echo "20-second speaks on stdout, after $RBR_TEST_FIRST"
export RBR_TEST_SECOND="second after $RBR_TEST_FIRST"
export RBR_TEST_ORDER="$RBR_TEST_ORDER second"
export PATH="$CONDA_PREFIX/libexec/ringbridge-test:$PATH"
export XDG_DATA_DIRS="${XDG_DATA_DIRS:-/usr/local/share:/usr/share}:$CONDA_PREFIX/share"
# Variables of env_vars.d and of conda-meta/state are set before the scripts run.
export RBR_TEST_SEEN="${RBR_TEST_D_ONLY:-nothing}"
unset RBR_TEST_OF_THE_HOST
"""
FIRST_DEACTIVATE = """\
unset RBR_TEST_FIRST RBR_TEST_ORDER RBR_TEST_TRICKY RBR_TEST_EMPTY RBR_TEST_BACKED_UP
if [ -n "${_CONDA_SET_RBR_TEST_BACKED_UP:-}" ]; then
    export RBR_TEST_BACKED_UP="$_CONDA_SET_RBR_TEST_BACKED_UP"
    unset _CONDA_SET_RBR_TEST_BACKED_UP
fi
"""
SECOND_DEACTIVATE = """\
unset RBR_TEST_SECOND RBR_TEST_SEEN
"""
# For another shell. In bash it would end the activation.
FISH = """\
set -gx RBR_TEST_FISH "of another shell"
if test -n "$CONDA_PREFIX"
    set -gx RBR_TEST_FIRST "of another shell"
end
"""
TOOL = """\
#!/bin/sh
echo "found through the PATH of an activation script"
"""

#: Sorted by their names, the later one wins.
ENV_VARS_D = {
    "10-base.json": {
        "RBR_TEST_D_ONLY": "of 10-base",
        "RBR_TEST_D_BOTH": "of 10-base",
        "RBR_TEST_STATE_WINS": "of 10-base",
        "RBR_TEST_STATE_UNSETS": "of 10-base",
    },
    "20-more.json": {
        "RBR_TEST_D_BOTH": "of 20-more",
        "RBR_TEST_D_TRICKY": "two  spaces, \"quotes\", 'apostrophes', \u00e4\u00df\u20ac",
    },
}

#: What `conda env config vars set` and an environment.yml leave in conda-meta/state.
STATE = {
    "version": 1,
    "env_vars": {
        "RBR_TEST_STATE_WINS": "of state",
        "RBR_TEST_STATE_ONLY": "of state",
        "RBR_TEST_STATE_UNSETS": "***unset***",
        "rbr_test_lower": "of state, with a name in small letters",
        "PATH": "/nobody/may/set/this/here",
    },
}


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def stage_data(folder: Path, name: str, version: str) -> Package:
    """Without the data, whose folder in share/ is made by who has it."""
    variable, place = DATA[name]
    for when, text in (("activate", ACTIVATE_DATA), ("deactivate", DEACTIVATE_DATA)):
        script = folder / "etc" / "conda" / f"{when}.d" / f"{name}-{when}.sh"
        write(script, text.format(name=variable, place=place))
    (folder / "share").mkdir()
    return Package(folder, name, version)


def stage_variables(folder: Path) -> Package:
    conda = folder / "etc" / "conda"
    for name, variables in ENV_VARS_D.items():
        write(conda / "env_vars.d" / name, json.dumps(variables, ensure_ascii=False))
    write(conda / "activate.d" / "10-first.sh", FIRST)
    write(conda / "activate.d" / "20-second.sh", SECOND)
    write(conda / "activate.d" / "30-third.fish", FISH)
    write(conda / "deactivate.d" / "10-first.sh", FIRST_DEACTIVATE)
    write(conda / "deactivate.d" / "20-second.sh", SECOND_DEACTIVATE)
    tool = folder / "libexec" / "ringbridge-test" / "rbr-test-tool"
    write(tool, TOOL)
    tool.chmod(0o755)
    return Package(folder, "ringbridge-test-vars", "1.0", noarch="generic")
