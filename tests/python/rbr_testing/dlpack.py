# SPDX-License-Identifier: MIT
"""A producer of DLPack made with ctypes, by the layout of github.com/dmlc/dlpack; without numpy."""

from __future__ import annotations

import ctypes
from typing import Any


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    ]  # fmt: skip


DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Old(ctypes.Structure):
    _fields_ = [("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", DELETER)]


class Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
        ("deleter", DELETER), ("flags", ctypes.c_uint64), ("tensor", Tensor),
    ]  # fmt: skip


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype = ctypes.py_object
new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]

NAMES = {Old: b"dltensor", Versioned: b"dltensor_versioned"}


class Handmade:
    """One struct, good but for what `change` does to it."""

    def __init__(self, kind: type = Versioned, **change: Any) -> None:
        self.deleted = 0
        self.bytes = (ctypes.c_uint8 * 64)(*range(64))
        self.shape = (ctypes.c_int64 * 65)(*[2] * 65)
        self.strides = (ctypes.c_int64 * 65)(*[1] * 65)
        self.device = change.pop("device", 1)
        self.name = change.pop("name", NAMES[kind])
        self.made = kind()
        self.made.deleter = DELETER(self._delete)
        tensor = {"data": ctypes.addressof(self.bytes), "device_type": 1, "ndim": 1, "code": 1,
                  "bits": 8, "lanes": 1, "shape": ctypes.addressof(self.shape)}  # fmt: skip
        if kind is Versioned:
            self.made.major = change.pop("major", 1)
            self.made.flags = change.pop("flags", 0)
        for name, places in (("shape", self.shape), ("strides", self.strides)):
            if isinstance(change.get(name), list):
                numbers = change.pop(name)
                places[: len(numbers)] = numbers
                tensor[name] = ctypes.addressof(places)
        for name, value in {**tensor, **change}.items():
            setattr(self.made.tensor, name, value)

    def _delete(self, struct: int) -> None:
        assert struct == ctypes.addressof(self.made)
        self.deleted += 1

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0

    def __dlpack__(self, **_options: Any) -> Any:
        return new_capsule(ctypes.addressof(self.made), self.name, None)
