# SPDX-License-Identifier: MIT
"""`ringbridge serve MODULE...`: a server of its own, outside of any application."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import stat
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from ringbridge.cli import plain
from ringbridge.errors import RingbridgeError

if TYPE_CHECKING:
    from ringbridge import host

    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

_LOOK_S = 0.5
_RELOAD_S = 60.0


def add_to(verbs: _Verbs) -> None:
    parser = verbs.add_parser(
        "serve",
        help="serve modules to other interpreters of this user",
        description="Imports modules and serves them until Ctrl-C or SIGTERM: other interpreters "
        'of this user call their functions after ringbridge.connect("NAME"). A module lends the '
        "functions that it marks with @expose, else those of its __all__, else the public ones "
        "that it defines itself. Exit code 1: a module cannot be imported, or the server cannot "
        "start.",
    )
    parser.add_argument(
        "modules",
        metavar="MODULE",
        nargs="+",
        help="a module's name; or a pattern ('tools.*'), whose modules clients may load",
    )
    parser.add_argument("--name", help="what clients know it by (default: python)")
    parser.add_argument(
        "--path",
        metavar="DIR",
        action="append",
        help="folder for sys.path, may be repeated (default: the current one)",
    )
    parser.add_argument(
        "--on",
        choices=("main", "thread"),
        default="main",
        help="where functions run that do not say it: one after another on the main thread, or on "
        "a thread for each client (default: main)",
    )
    parser.add_argument(
        "--http",
        metavar="PORT",
        type=_port,
        help="also over HTTP at 127.0.0.1, with a token; 0: any port that is free",
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="clients must know what this file says; only its owner may be able to read it",
    )
    parser.add_argument(
        "--reload", action="store_true", help="run modules again when their files change"
    )
    parser.set_defaults(verb=serve)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535")
    return int(text)


def serve(options: argparse.Namespace) -> int:
    """Serves until it is told to end."""
    _show_warnings()
    sys.path[:0] = [os.path.abspath(each) for each in options.path or ["."]]
    token = None if options.token_file is None else _token(options.token_file)
    began = time.monotonic()
    # As Ctrl-C: what a client has running ends, and then we do.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), _server(options, token) as server:
        for name in options.modules:
            if "*" not in name and not _load(server, name):
                return 1
        _tell(server, token)
        if options.reload:
            threading.Thread(target=_reload_changed, args=(server,), daemon=True).start()
        try:
            server.run()
        finally:
            clients = plain.count(len(server.clients()), "client")
            plain.say(f"stopped after {plain.duration(time.monotonic() - began)}, with {clients}")
    return 0


def _server(options: argparse.Namespace, token: str | None) -> host.Server:
    http: dict[str, Any] | None = None
    if options.http is not None:
        http = {"port": options.http, "token": token or ""}
    from ringbridge import host  # only now: --help works without the extension

    try:
        return host.serve(
            options.name, options.modules, on=options.on, pump="script", token=token, http=http
        )
    except ValueError as error:  # of what the command line says
        raise RingbridgeError(str(error)) from error


def _token(file: str) -> str:
    with open(file, encoding="utf-8") as source:
        if os.fstat(source.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise RingbridgeError(f"other users may read or write {file}: chmod 600 {file}")
        token = source.read().strip()
    if not token:
        raise RingbridgeError(f"{file} is empty: a token belongs there")
    return token


def _load(server: host.Server, name: str) -> bool:
    try:
        module = server.exposure.load(name)
    except ModuleNotFoundError as error:
        print(f"ringbridge serve: {error} (--path DIR)", file=sys.stderr)
        return False
    except Exception:
        traceback.print_exc()
        print(f"ringbridge serve: {name} cannot be imported, see above", file=sys.stderr)
        return False
    if not module.functions:
        print(
            f"ringbridge serve: {name} has nothing to call: mark functions with "
            "@ringbridge.host.expose, or name them in its __all__",
            file=sys.stderr,
        )
    return True


def _tell(server: host.Server, token: str | None) -> None:
    plain.say(f"serving as {server.name!r}, pid {server.pid}")
    for name, functions in server.exposure.about().items():
        plain.say(f"  {name}: {', '.join(functions) or 'no functions'}")
    for name in server.exposure.names():
        if "*" in name:
            plain.say(f"  {name}: what clients load")
    more = "" if token is None else ", token=..."
    plain.say(f'connect: ringbridge.connect("{server.name}"{more})')
    if server.gateway is not None:
        secret = server.gateway.token if token is None else "..."
        plain.say(f"HTTP: {server.gateway.url}, Authorization: Bearer {secret}")
    sys.stdout.flush()  # who has started us reads it before we end


def _reload_changed(server: host.Server) -> None:
    """On a thread: looks at the files, and has the main thread run what has changed."""
    while not server.closed:
        time.sleep(_LOOK_S)
        if not server.exposure.changed():
            continue
        try:
            done = server.on_main(server.exposure.reload_changed, timeout_s=_RELOAD_S)
        except Exception:  # told by the log; or busy for so long that we look again
            continue
        plain.say(f"reloaded: {', '.join(done)}")
        sys.stdout.flush()


def _show_warnings() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("ringbridge serve: %(message)s"))
    logging.getLogger("ringbridge.host").addHandler(handler)
