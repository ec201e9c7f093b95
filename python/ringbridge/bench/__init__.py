# SPDX-License-Identifier: MIT
"""`ringbridge bench`: what calls and arrays cost from Python, beside other ways to cross.

    cli/bench -> measure -> tests_* -> runner ==pipe==> runner_child -> turns -> peers_* ~~ far_side
    the main process                                   one for each peer            its far side

Nobody but the command line imports it. Whatever a peer does, the process that waits for it only
waits on a pipe, with a deadline.
"""
