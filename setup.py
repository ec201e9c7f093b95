# SPDX-License-Identifier: MIT
"""Lets CMake build the extension and ringbench; nothing else. Metadata stands in pyproject.toml."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent.resolve()


class CMakeBuild(build_ext):
    def build_extension(self, ext: Extension) -> None:
        package = Path(self.get_ext_fullpath(ext.name)).parent.resolve()
        if "RBR_PREBUILT" in os.environ:  # .ci/make_wheel, which builds for many interpreters
            shutil.copytree(os.environ["RBR_PREBUILT"], package, dirs_exist_ok=True)
            return
        build = Path(self.build_temp).resolve() / "cmake"
        build.mkdir(parents=True, exist_ok=True)
        configure = [
            "cmake",
            "-S",
            str(HERE),
            "-B",
            str(build),
            "-DRBR_EXTENSION=ON",
            "-DRBR_RINGBENCH=ON",
            f"-DPython_EXECUTABLE={sys.executable}",
            "-DCMAKE_BUILD_TYPE=Release",
            *os.environ.get("CMAKE_ARGS", "").split(),
        ]
        jobs = str(os.cpu_count() or 1)
        subprocess.run(configure, check=True)
        subprocess.run(["cmake", "--build", str(build), "--parallel", jobs], check=True)
        subprocess.run(["cmake", "--install", str(build), "--prefix", str(package)], check=True)


setup(
    ext_modules=[Extension("ringbridge._core", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
)
