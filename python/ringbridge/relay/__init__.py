# SPDX-License-Identifier: MIT
"""Workers on another machine: two relays, one at each end of an `ssh`, join two ordinary channels.

    host  <--channel-->  near  <--ssh's stdin and stdout-->  far  <--channel-->  worker

`ssh` starts and ends the program of that name, `records` is what crosses its pipes; the two know
nothing of workers. `line` is both directions of such a pipe, `passing` moves frames between a line
and a channel; `near` and `far` are the two processes.
"""
