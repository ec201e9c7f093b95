# SPDX-License-Identifier: MIT
"""Serving into a running application: other interpreters call functions that run inside of it.

import ringbridge.host
server = ringbridge.host.serve("blender", modules=["mytools"])
"""
