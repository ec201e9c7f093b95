# SPDX-License-Identifier: MIT
"""QGIS: its Python with the real application in it, and its own runner of Processing algorithms."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import expected
import pytest
from conftest import HERE, QGIS_PYTHON, TIMEOUT_S, Host, Report
from rbr_testing.conda import Facts

LOADER = HERE.parents[1] / "plugin" / "ringbridge_loader.py"
IMPORT_MS_MAX = 50.0  # ten times the 5 ms that it may take on a quiet machine
IMPORTS = 7

TIMED = """
import sys, time
began = time.perf_counter()
{}
print((time.perf_counter() - began) * 1e3)
"""


@pytest.fixture(scope="module")
def qgis(host: Callable[[str], Host], installed: Callable[..., list[str]]) -> Host:
    """QGIS's folders; the environment's name is found through ~/.conda/environments.txt."""
    installed("qgis", QGIS_PYTHON)
    done = subprocess.run(
        [QGIS_PYTHON, "-c", "import qgis.core, numpy"], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"{QGIS_PYTHON} has no qgis or no numpy: {done.stderr.splitlines()[-1:]}")
    made = host("qgis")
    made.list_in_home()
    profile = made.folder / "profile"
    profile.mkdir()
    made.environ["QT_QPA_PLATFORM"] = "offscreen"
    made.environ["QGIS_CUSTOM_CONFIG_PATH"] = str(profile)
    return made


@pytest.fixture(scope="module", params=["standalone script", "processing algorithm"])
def report(request: pytest.FixtureRequest, qgis: Host, host: Callable[[str], Host]) -> Report:
    qgis.report_file.unlink(missing_ok=True)
    if request.param == "standalone script":
        return qgis.report(QGIS_PYTHON, str(HERE / "host_script_qgis.py"))
    return of_algorithm(qgis)


def of_algorithm(qgis: Host) -> Report:
    # Debian's wrapper qgis_process may pass an option that the program does not know.
    program = [shutil.which("qgis_process.bin") or "qgis_process"]
    plugins = {"QGIS_PLUGINPATH": str(HERE / "qgis_plugins")}
    for name in ("processing", "ringbridge_hosts"):
        qgis.run(*program, "plugins", "enable", name, **plugins)
    # As a plugin of the repository would: with one file of Python, and what an environment has.
    has_it = qgis.folder / "env that has it"
    packages = has_it / "lib" / "python3.12" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "ringbridge").symlink_to(Path(qgis.settings["copy"]) / "ringbridge")
    qgis.settings.update(loader=str(LOADER), has_it=str(has_it))
    told = qgis.report(*program, "--json", "run", "ringbridge_hosts:report", **plugins)
    assert told["host"]["copy"].startswith(str(has_it))
    return told


def test_the_worker_runs_another_python_with_another_numpy(report: Report, conda: Facts) -> None:
    expected.of_another_version(report, conda)


def test_rasterio_and_pyproj_find_their_own_data_there(report: Report, conda: Facts) -> None:
    expected.its_own_data(report, conda)


def test_the_worker_has_its_environments_variables(report: Report, conda: Facts) -> None:
    expected.its_own_variables(report, conda)


def test_nothing_that_the_host_leaks_arrives(report: Report, qgis: Host, conda: Facts) -> None:
    expected.nothing_of_the_host(report, qgis.poison, conda)


def test_arrays_come_back_and_prints_are_logged(report: Report) -> None:
    expected.arrays_and_prints(report)


def test_without_the_scrubbing_it_fails(report: Report, conda: Facts) -> None:
    expected.poison_that_kills(report, conda)


def test_other_leaks_would_only_mislead(report: Report, qgis: Host, conda: Facts) -> None:
    expected.poison_that_misleads(report, qgis.poison, conda)


def test_the_host_is_a_qgis_with_libraries_of_its_own(
    report: Report, conda: Facts, figure: Callable[[str], None]
) -> None:
    host = report["host"]
    package_ms, worker_ms = host["import_ms"]
    assert host["qgis"][0].isdigit() and host["gdal"][0].isdigit()
    figure(
        f"QGIS {host['qgis']}, Python {'.'.join(map(str, host['python']))}, numpy {host['numpy']}: "
        f"import ringbridge {package_ms:.1f} ms, its Worker {worker_ms:.1f} ms; "
        f"a worker started in {report['worker']['start_ms']:.0f} ms"
    )


def test_importing_ringbridge_costs_qgis_little(
    qgis: Host, host_copy: Path, figure: Callable[[str], None]
) -> None:
    """In fresh processes of QGIS's Python, in turns with a module of its own library."""
    ours = f"sys.path.insert(0, {str(host_copy)!r}); import ringbridge"
    codes = {
        "nothing": "",
        "import concurrent.futures": "import concurrent.futures",
        "import ringbridge": ours,
        "ringbridge.Worker": f"{ours}; ringbridge.Worker",
    }
    times: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(IMPORTS):
        for name, code in codes.items():
            times[name].append(timed(code, qgis.environ))
    best = {name: min(each) for name, each in times.items()}
    told = ", ".join(f"{name} {ms:.2f} ms" for name, ms in best.items())
    ratio = best["import ringbridge"] / best["import concurrent.futures"]
    figure(f"{QGIS_PYTHON}, the best of {IMPORTS} processes: {told}")
    figure(f"import ringbridge takes {ratio:.2f} times as long as import concurrent.futures")
    assert best["import ringbridge"] < IMPORT_MS_MAX, told


def timed(code: str, environ: dict[str, str]) -> float:
    command = [QGIS_PYTHON, "-c", TIMED.format(code)]
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    return float(done.stdout)
