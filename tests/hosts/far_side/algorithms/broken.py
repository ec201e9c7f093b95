# SPDX-License-Identifier: MIT
"""A module that needs what is installed nowhere: the others go on."""

import a_package_that_nobody_has

from ringbridge.compute import Raster, algorithm


@algorithm("Broken")
def broken(dem: Raster) -> Raster:
    return a_package_that_nobody_has.work(dem)
