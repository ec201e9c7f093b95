# SPDX-License-Identifier: MIT
"""Plotting beside the computation: a window that lives in a process and interpreter of its own."""
