# SPDX-License-Identifier: MIT
"""Serving into a running application: other interpreters call functions that run inside of it.

    import ringbridge.host
    server = ringbridge.host.serve("blender", modules=["mytools"])

From any other interpreter of the same user: `ringbridge.connect("blender")`.
"""

from __future__ import annotations

from ringbridge.host.expose import expose
from ringbridge.host.server import ClientInfo, Server, serve, serving

__all__ = ["ClientInfo", "Server", "expose", "serve", "serving"]
