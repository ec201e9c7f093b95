# SPDX-License-Identifier: MIT
"""The script that a worker's interpreter runs first: `python _bootstrap.py FD SETTINGS`.

A plot's viewer runs it by runpy, and calls `view`.

It may be run by any Python, down to 2.7, and must then say politely why this will not do: so its
syntax stays old, and it imports nothing before it has looked at the version. What it has to say
goes to the socket FD as one datagram, "RBRX" and a text; the host raises it as WorkerStartFailed.
SETTINGS is JSON: {"paths": [...], ...}, see serve.main; with "ssh" see relay/near.py.

multiprocessing's spawn and forkserver run it again in their children, as __mp_main__: there it
only makes the same ringbridge importable.
"""
# ruff: noqa: F401, RUF005, UP031

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types

EXIT_CODE = 97
OLDEST = (3, 9)
_FAILURE = b"RBRX"
_TEXT_BYTES_MAX = 1000  # what the core keeps of a message (RBR_ERROR_TEXT_MAX)


def _here():
    # type: () -> str
    import os

    return os.path.dirname(os.path.abspath(__file__))


def _leave_own_folder():
    # type: () -> None
    """Takes this file's folder off sys.path: our errors.py is nobody's module `errors`."""
    import os  # imported by every Python at its start, so it cannot come from our folder

    if sys.path and os.path.realpath(sys.path[0]) == os.path.realpath(_here()):
        del sys.path[0]


def _refusal():
    # type: () -> str
    """Why this interpreter cannot be a worker; empty when it can."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < OLDEST:
        return "Python %s is too old: ringbridge needs %d.%d or newer" % ((version,) + OLDEST)
    if sys.implementation.name != "cpython":
        return "this is %s, and ringbridge needs CPython" % sys.implementation.name
    return ""


class _NoCore(Exception):
    """Neither copy of ringbridge can be loaded here; the message is for the user."""


class _HostsCopy:
    """Finds `ringbridge`, and nothing else, in the folder of this file.

    On sys.meta_path rather than a folder on sys.path: nothing beside it becomes importable.
    """

    def __init__(self, folder):
        # type: (str) -> None
        self.folder = folder

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        if name != "ringbridge":
            return None
        from importlib.machinery import ModuleSpec, SourceFileLoader

        file = self.folder + "/__init__.py"
        spec = ModuleSpec(name, SourceFileLoader(name, file), origin=file, is_package=True)
        spec.submodule_search_locations = [self.folder]
        spec.has_location = True
        return spec


def _find_hosts_copy():
    # type: () -> bool
    """Makes the host's ringbridge the one to import, when it has a _core for this interpreter."""
    import os
    from importlib.machinery import EXTENSION_SUFFIXES

    folder = _here()
    for suffix in EXTENSION_SUFFIXES:
        if os.path.exists(os.path.join(folder, "_core" + suffix)):
            sys.meta_path.insert(0, _HostsCopy(folder))
            return True
    return False


def _forget_hosts_copy():
    # type: () -> None
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _HostsCopy)]
    for name in list(sys.modules):
        if name.partition(".")[0] == "ringbridge":
            del sys.modules[name]


def _imported(name):
    # type: (str) -> types.ModuleType
    """A module of ringbridge: of the host's copy, else of the environment's own."""
    import importlib

    problems = []
    if _find_hosts_copy():
        try:
            return importlib.import_module(name)
        except ImportError as error:
            problems.append("the host's copy in %s: %s" % (_here(), error))
            _forget_hosts_copy()
    else:
        problems.append("the host's copy in %s has no _core for this Python" % _here())
    try:
        return importlib.import_module(name)
    except ImportError as error:
        problems.append("its own: %s" % error)
    version = ".".join(str(part) for part in sys.version_info[:3])
    raise _NoCore(
        "Python %s has no matching _core: install ringbridge into that environment: "
        "%s -m pip install, then the folder of its source (%s)"
        % (version, sys.executable, "; ".join(problems))
    )


def _report(fd, text):
    # type: (int, str) -> None
    import os

    raw = text.encode("utf-8", "replace")[:_TEXT_BYTES_MAX]
    raw = raw.decode("utf-8", "ignore").encode("utf-8")  # no half a character at the end
    try:
        os.write(fd, _FAILURE + raw)  # one write: one datagram
    except OSError:  # the host has gone; stderr is what is left
        sys.stderr.write(text + "\n")


def main():
    # type: () -> int
    _leave_own_folder()
    fd = int(sys.argv[1])
    refusal = _refusal()
    if refusal:
        _report(fd, refusal)
        return EXIT_CODE
    try:
        import json
        import os

        os.set_inheritable(fd, False)  # the channel is for this process, not for its children
        settings = json.loads(sys.argv[2])
        serve = _imported("ringbridge.relay.near" if "ssh" in settings else "ringbridge.serve")
        # Only now: what lies in the user's folders must not take the place of what we import.
        sys.path[:0] = settings["paths"]
        del sys.argv[1:]
    except _NoCore as error:
        _report(fd, str(error))
        return EXIT_CODE
    except Exception as error:
        _report(fd, "%s: %s" % (type(error).__name__, error))
        return EXIT_CODE
    serve.main(fd, settings)
    return 0


def view(text):
    # type: (str) -> None
    """Runs a plot's viewer to its end; exits where it failed. text: JSON, see plot.viewer.main."""
    refusal = _refusal()
    if refusal:
        sys.exit(refusal)
    import json

    settings = json.loads(text)
    try:
        viewer = _imported("ringbridge.plot.viewer")
    except _NoCore as error:
        sys.exit(str(error))
    sys.path[:0] = settings["paths"]
    status = viewer.main(settings)
    if status:  # IPython makes words about an exit
        sys.exit(status)


if __name__ == "__main__":
    sys.exit(main())
elif __name__ == "__mp_main__":
    _find_hosts_copy()
