# SPDX-License-Identifier: MIT
"""`ringbridge plot list` and `ringbridge plot attach NAME`: more windows on a computation."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from ringbridge.cli import plain

if TYPE_CHECKING:
    from ringbridge.plot.running_plots import RunningPlot

    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

HEAD = ("PID", "NAME", "VIEW", "SINCE", "VIEWERS", "STATE")
NUMBERS = (0, 3, 4)
_VIEW_COLUMNS = 40


def add_to(verbs: _Verbs) -> None:
    parser = verbs.add_parser(
        "plot",
        help="list the plots of running computations, and open more windows on them",
        description="Plots are made by `ringbridge.plot.Plotter` in a computation of this user. "
        "More viewers may join and leave at any time; the computation does not wait for them.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list the plots that run")
    listing.add_argument("--json", action="store_true", help="a list of objects, not a table")
    listing.set_defaults(verb=list_plots)
    attach = actions.add_parser(
        "attach",
        help="open a window on a plot",
        description="Opens a window on a plot, until it is closed or the computation ends. Ctrl-C "
        "closes the window; the computation goes on. The view is that of the plot: its code runs "
        "here. Exit code 1: there is no such plot, or the view has failed.",
    )
    attach.add_argument(
        "name",
        metavar="NAME",
        help="of the plot; NAME.PID where several have it; ssh://[user@]host[:port]/NAME for one "
        "of another machine (?python=/path/to/python at its end: that has ringbridge there)",
    )
    attach.add_argument(
        "--python", metavar="ENV", help="whose interpreter draws (default: the one that runs this)"
    )
    attach.add_argument(
        "--view", metavar="module:Class", type=_view, help="another view of the same frames"
    )
    attach.add_argument(
        "--hold",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="whether the window stays when the computation ends (default: as the plot says)",
    )
    attach.add_argument("--rate", metavar="N", type=_rate, help="draws a second at the most")
    attach.add_argument(
        "--path",
        metavar="DIR",
        action="append",
        help="folder for the viewer's sys.path, may be repeated (default: the current one)",
    )
    attach.set_defaults(verb=attach_viewer)
    relay = actions.add_parser(
        "relay",
        help="serve a viewer of another machine; started by ssh",
        description="What `ringbridge plot attach ssh://...` starts on a machine, by ssh.",
    )
    relay.add_argument("name", metavar="NAME")
    relay.set_defaults(verb=serve_remote)


def _view(text: str) -> dict[str, str]:
    module, colon, name = text.partition(":")
    if not (module and colon and name):
        raise argparse.ArgumentTypeError(f"{text!r} is not module:Class")
    return {"module": module, "class": name}


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 <= rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of draws a second")
    return rate


def list_plots(options: argparse.Namespace) -> int:
    from ringbridge.plot.running_plots import plots

    found = plots()
    if options.json:
        print(json.dumps([document(each) for each in found], indent=1))
        return 0
    rows = [HEAD, *map(row, found)]
    for line in plain.table(rows, right=NUMBERS) if found else ["No plot of this user is running."]:
        plain.say(line)
    return 0


def document(plot: RunningPlot) -> dict[str, Any]:
    """For JSON."""
    return {"what": "plot", **dataclasses.asdict(plot)}


def row(plot: RunningPlot) -> tuple[str, ...]:
    """Of a table under HEAD."""
    return (
        str(plot.pid),
        plot.name,
        plain.printable(plot.view, _VIEW_COLUMNS),
        "-" if plot.since_s is None else plain.duration(plot.since_s),
        str(plot.viewers),
        "shown" if plot.busy is None else plain.printable(plot.busy),
    )


def serve_remote(options: argparse.Namespace) -> int:
    from ringbridge.plot import remote_far

    return remote_far.main(options.name)


def _attach_remote(options: argparse.Namespace) -> int:
    from ringbridge import ssh_address
    from ringbridge.plot import remote_near
    from ringbridge.plot.viewer_process import program_of

    address = ssh_address.parse(options.name)
    paths = tuple(os.path.abspath(path) for path in options.path or ["."])
    wishes = {key: getattr(options, key) for key in ("view", "hold", "rate")}
    return remote_near.attach(address, program_of(options.python), paths, wishes)


def attach_viewer(options: argparse.Namespace) -> int:
    from ringbridge.plot.running_plots import find_plot

    if options.name.startswith("ssh://"):
        return _attach_remote(options)
    address = find_plot(options.name)
    settings = {
        "address": {"name": address.name, "pid": address.pid, "path": address.path},
        "name": f"viewer attached by {os.getpid()}",
        "paths": [os.path.abspath(path) for path in options.path or ["."]],
        **{key: getattr(options, key) for key in ("view", "hold", "rate")},
    }
    if options.python is not None:
        from ringbridge.plot.viewer_process import become_viewer

        become_viewer(options.python, settings)  # does not come back
    from ringbridge.plot import viewer

    sys.path[:0] = settings["paths"]
    return viewer.main(settings)
