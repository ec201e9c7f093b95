# SPDX-License-Identifier: MIT
"""QGIS plugins of one's own: writes one, packs it, and checks the plugin repository's rules.

    generate  template/ and a name  ->  a folder with a complete plugin
    package   a plugin's folder     ->  a zip, the same bytes each time
    rules     a zip                 ->  what the repository would refuse (code_rules: of its Python)

Starts no QGIS and imports none.
"""

from ringbridge.errors import RingbridgeError

__all__ = ["PluginError"]


class PluginError(RingbridgeError):
    """A plugin cannot be written or packed; the message says what to change."""
