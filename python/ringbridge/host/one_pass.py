# SPDX-License-Identifier: MIT
"""One pass of a pump over what waits for the main thread: nothing escapes into the application.

An exception in a slot ends a PyQt application, one in a timer takes that timer out of Blender, and
sys.exit() in either would end it: a function that was asked for from outside may do none of that.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ringbridge.host.main_work import BUDGET_S

if TYPE_CHECKING:
    from ringbridge.host.main_work import MainWork

log = logging.getLogger("ringbridge.host")


def drained(work: MainWork, budget_s: float = BUDGET_S) -> bool:
    """work.drain(), which never raises here. Main thread only. True: there may be more."""
    try:
        return work.drain(budget_s)
    except (KeyboardInterrupt, SystemExit) as error:  # whoever called has it as their result
        log.warning("a call raised %r; this application goes on", error)
    except BaseException:
        log.exception("a pass over what waits for the main thread failed")
    return True
