# SPDX-License-Identifier: MIT
"""Where a run's results go: files, layers and plain values, as Processing wants to hear of them."""

from __future__ import annotations

import os
import shutil
from typing import Any

from qgis.core import QgsCoordinateReferenceSystem, QgsProcessingException

from ringbridge.compute import Output, Raster, Vector, kinds
from ringbridge.qgis import features, styles
from ringbridge.qgis.algorithm_run import Run
from ringbridge.qgis.in_whole import COMPUTED
from ringbridge.qgis.raster_sink import RasterSink
from ringbridge.qgis.raster_source import Grid

_BYTES_AT_ONCE = 16 << 20  # written between two looks at the Cancel button


class Results:
    """The outputs of one run. `told` is what processAlgorithm returns."""

    def __init__(self, algorithm: Any, outputs: Any, parameters: Any, context: Any) -> None:
        self._algorithm = algorithm
        self._outputs: tuple[Output, ...] = outputs
        self._parameters = parameters
        self._context = context
        self.told: dict[str, Any] = {}

    def raster_sinks(self) -> list[RasterSink | None]:
        """One for each output; None where it is not wanted. For results that come in strips."""
        return [self._sink(output) for output in self._outputs]

    def _sink(self, output: Output) -> RasterSink | None:
        name = output.name.upper()
        path = self._algorithm.parameterAsOutputLayer(self._parameters, name, self._context)
        if not path:
            return None
        self._tell(output, path)
        return RasterSink(path, output.kind.label)

    def write(self, run: Run, results: list[Any]) -> None:
        """Whole results, one for each output. Raises RunCancelled; QgsProcessingException."""
        for output, value in zip(self._outputs, results):
            run.check()
            if value is None:
                continue
            if isinstance(output.kind, kinds.RasterOutput):
                self._write_raster(run, output, Raster.from_plain(value))
            elif isinstance(output.kind, (kinds.VectorOutput, kinds.TableOutput)):
                self._write_vector(run, output, Vector.from_plain(value))
            elif isinstance(output.kind, kinds.FileOutput):
                self._move_file(output, value)
            else:
                self.told[output.name.upper()] = value

    def _write_raster(self, run: Run, output: Output, raster: Raster) -> None:
        sink = self._sink(output)
        if sink is None:
            return
        rows, columns = raster.shape
        at_once = max(_BYTES_AT_ONCE // max(raster.values.nbytes // max(rows, 1), 1), 1)
        show = run.part(COMPUTED, 1.0)
        with sink:
            grid = Grid(rows, columns, raster.geotransform, raster.crs)
            sink.begin(grid, raster.values, raster.nodata, raster.bands)
            for row in range(0, rows, at_once):
                run.check()
                sink.write(row, raster.values[..., row : row + at_once, :])
                show((row + at_once) / rows)

    def _write_vector(self, run: Run, output: Output, vector: Vector) -> None:
        kind: Any = output.kind
        wanted = "none" if isinstance(kind, kinds.TableOutput) else kind.geometry
        if wanted == "none":  # as of a GeoDataFrame, where a table is declared
            vector = Vector(vector.columns)
        crs = QgsCoordinateReferenceSystem()
        if vector.crs:
            crs.createFromWkt(vector.crs)
        sink, destination = self._algorithm.parameterAsSink(
            *(self._parameters, output.name.upper(), self._context),
            *(features.fields_of(vector), features.wkb_type_of(vector, wanted), crs),
        )
        if sink is None:
            return  # it is optional, and was left empty
        features.write(vector, sink, progress=run.part(COMPUTED, 1.0), cancelled=run.cancelled)
        del sink  # what is buffered is written
        run.check()
        self._tell(output, destination)

    def _move_file(self, output: Output, path: str) -> None:
        name = output.name.upper()
        wanted = self._algorithm.parameterAsFileOutput(self._parameters, name, self._context)
        if not wanted:
            return
        if not os.path.isfile(path):
            raise QgsProcessingException(f"{output.kind.label}: no file was written at {path}")
        shutil.move(path, wanted)
        self.told[name] = wanted

    def _tell(self, output: Output, destination: str) -> None:
        """Processing loads it where that was asked for, in the declared style."""
        self.told[output.name.upper()] = destination
        styles.after_loading(self._context, destination, getattr(output.kind, "style", None))
