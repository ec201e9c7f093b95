# SPDX-License-Identifier: MIT
"""What an algorithm does when it runs: layers are read, a worker computes, results are written.

On the thread that Processing runs it on.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from qgis.core import Qgis, QgsProcessingException

from ringbridge.compute import Declaration
from ringbridge.qgis import arguments, failures, in_strips, in_whole
from ringbridge.qgis.algorithm_run import Run, RunCancelled
from ringbridge.qgis.descriptions import Module
from ringbridge.qgis.raster_input import inputs_of
from ringbridge.qgis.results import Results
from ringbridge.qgis.texts import tr

if TYPE_CHECKING:
    from ringbridge.qgis.bridge import Bridge


class Execution:
    """One run of one algorithm."""

    def __init__(
        self, algorithm: Any, bridge: Bridge, module: Module, declaration: Declaration
    ) -> None:
        self._algorithm = algorithm
        self._bridge = bridge
        self._module = module
        self._declaration = declaration

    def run(
        self, prepared: dict[str, Any], parameters: Any, context: Any, feedback: Any
    ) -> dict[str, Any]:
        """What processAlgorithm returns. Raises QgsProcessingException: a line for people.

        The details of a failure are in the feedback's log and in the plugin's tab.
        """
        with self._bridge.runs.one():
            return self._run(prepared, parameters, context, feedback)

    def _run(
        self, prepared: dict[str, Any], parameters: Any, context: Any, feedback: Any
    ) -> dict[str, Any]:
        module, runs = self._module, self._bridge.runs
        run = Run(module.folder, module.name, self._declaration, feedback, runs)
        results = Results(self._algorithm, self._declaration.outputs, parameters, context)
        bridge = self._bridge
        try:
            run.check()
            borrowed = run.borrowed(bridge.key(), bridge.id, bridge.workers_max)
            with run.hearing_ctrl_c(), borrowed:
                self._compute(run, dict(prepared), results, parameters, context)
        except RunCancelled:
            raise QgsProcessingException(tr("Cancelled.")) from None
        except QgsProcessingException:
            raise
        except Exception as error:
            if runs.is_over:  # whatever a worker says that was closed with the plugin
                raise QgsProcessingException(tr("Cancelled.")) from error
            line, details = failures.told(error, self._declaration)
            if details:
                feedback.reportError(details)
            bridge.log(f"{line}\n{details}", Qgis.Critical)
            raise QgsProcessingException(line) from error
        return results.told

    def _compute(
        self, run: Run, given: dict[str, Any], results: Results, parameters: Any, context: Any
    ) -> None:
        declaration = self._declaration
        inputs = inputs_of(declaration, given)
        given.update(arguments.vectors_of(self._algorithm, declaration, parameters, context))
        given = in_whole.read_layers(run, given)
        margin = declaration.margin
        if margin is None or not inputs:
            results.write(run, in_whole.run(run, given, inputs))
            return
        margin = int(given[margin]) if isinstance(margin, str) else margin
        with ExitStack() as stack:
            sinks = [sink and stack.enter_context(sink) for sink in results.raster_sinks()]
            in_strips.run(run, margin, given, inputs, sinks)
