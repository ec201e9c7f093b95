# SPDX-License-Identifier: MIT
"""The command `ringbridge`: one file a verb. Nobody in the package imports it."""
