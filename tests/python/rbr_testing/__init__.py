# SPDX-License-Identifier: MIT
"""Compute modules that the tests load in a worker."""
