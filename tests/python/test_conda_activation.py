# SPDX-License-Identifier: MIT
"""Our activation of real conda environments beside rattler's own; and workers by their name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rbr_testing.conda import Facts, install, rattler_environ
from rbr_testing.fixtures import MakeWorker
from rbr_testing.prefixes import environ

import ringbridge
from ringbridge.discovery import find

#: What bash sets for itself, and what only conda sets (rattler leaves it out).
BASHS_OWN = {"PWD", "OLDPWD", "SHLVL", "_"}
CONDAS_OWN = {"CONDA_SHLVL", "CONDA_DEFAULT_ENV", "CONDA_PROMPT_MODIFIER"}
#: Where rattler does not do as conda: it sets the word for "unset", takes PATH out of
#: conda-meta/state, and writes the names in there in capitals.
NOT_AS_CONDA = {"RBR_TEST_STATE_UNSETS", "RBR_TEST_LOWER", "rbr_test_lower", "PATH"}

BASES = [
    {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    {
        **{"PATH": "/usr/bin:/bin:/opt/x", "HOME": "/nonexistent", "LANG": "C.UTF-8"},
        **{"XDG_DATA_DIRS": "/usr/share", "RBR_TEST_OF_THE_HOST": "host"},
        "RBR_TEST_BACKED_UP": "of the host",
    },
]


@pytest.mark.parametrize("name", ["gis", "other", "own"])
@pytest.mark.parametrize("base", BASES)
def test_every_variable_is_as_rattler_sets_it(
    conda: Facts, name: str, base: dict[str, str]
) -> None:
    prefix = getattr(conda, name).prefix
    ours = environ(find(prefix), base)
    theirs = rattler_environ(prefix, base)
    aside = BASHS_OWN | CONDAS_OWN | NOT_AS_CONDA | {"PYTHONNOUSERSITE"}
    assert without(ours, aside) == without(theirs, aside)
    assert environ(find(prefix), base) == ours, "and so it is once more, from the cache"


def without(variables: dict[str, str], names: set[str]) -> dict[str, str]:
    return {name: variables[name] for name in sorted(variables) if name not in names}


def test_where_rattler_differs_it_is_done_as_conda_does(conda: Facts) -> None:
    result = environ(find(conda.gis.prefix), BASES[0])
    prefix = conda.gis.prefix
    assert result["PATH"] == f"{prefix}/libexec/ringbridge-test:{prefix}/bin:/usr/bin:/bin"
    assert result["rbr_test_lower"] == "of state, with a name in small letters"
    assert not {"RBR_TEST_STATE_UNSETS", "RBR_TEST_LOWER"} & set(result)
    assert {name: result[name] for name in CONDAS_OWN} == {
        "CONDA_SHLVL": "1",
        "CONDA_DEFAULT_ENV": "gis",
        "CONDA_PROMPT_MODIFIER": "(gis) ",
    }


def test_in_a_host_with_another_environment_activated_it_is_the_same(conda: Facts) -> None:
    """Not a *re*activation: neither its programs nor what is known to break others is left."""
    own = find(conda.own.prefix)
    there = {
        "CONDA_PREFIX": str(conda.gis.prefix),
        "CONDA_SHLVL": "1",
        "GDAL_DATA": f"{conda.gis.prefix}/share/gdal",
        "PATH": f"{conda.gis.prefix}/bin:/usr/bin:/bin",
    }
    assert environ(own, {**BASES[0], **there}) == environ(own, BASES[0])


@pytest.fixture
def by_name(conda: Facts, monkeypatch: pytest.MonkeyPatch) -> Facts:
    monkeypatch.setenv("MAMBA_ROOT_PREFIX", str(conda.root))
    return conda


def test_a_worker_is_started_by_its_environments_name(
    by_name: Facts, make_worker: MakeWorker
) -> None:
    worker = make_worker("own")
    assert worker.load("sys").prefix == str(by_name.own.prefix)
    getenv = worker.load("os").getenv
    assert getenv("RBR_TEST_SECOND") == "second after first"
    assert getenv("CONDA_DEFAULT_ENV") == "own"


def test_two_names_are_listed_with_their_versions(by_name: Facts) -> None:
    found = {each.name: each.python_version for each in ringbridge.environments()}
    versions = {name: getattr(by_name, name).versions["python"] for name in ("gis", "other", "own")}
    assert found.items() >= versions.items()


ODD_NAMES = ["with space", 'quo\'te "d"', "new\nline", "K\u00f6ln \u20ac", "$HOME"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_worker_starts_in_a_prefix_of_any_name(
    by_name: Facts,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_worker: MakeWorker,
) -> None:
    """Prefix, the name, the cache's folder and that of the module: all of them so."""
    envs, modules = tmp_path / name / "envs", tmp_path / name / "modules"
    install(envs / name, f"python={by_name.own.minor}", "ringbridge-test-vars")
    modules.mkdir()
    (modules / "there.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.setenv("CONDA_ENVS_PATH", str(envs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name / "cache"))
    for _ in range(2):  # without the cache, and with it
        worker = make_worker(name, paths=[modules])
        assert worker.load("there").double(21) == 42
        assert worker.load("os").getenv("RBR_TEST_SEEN") == "of 10-base"
        assert worker.load("sys").prefix == str(envs / name)
    assert len(list((tmp_path / name / "cache/ringbridge/activation").iterdir())) == 1


def test_a_broken_script_fails_the_start_with_its_own_words(
    by_name: Facts, tmp_path: Path, make_worker: MakeWorker
) -> None:
    prefix = tmp_path / "broken"
    install(prefix, f"python={by_name.own.minor}", "ringbridge-test-vars")
    script = prefix / "etc/conda/activate.d/15-licence.sh"
    script.write_text("echo 'no licence for this machine' >&2\nexit 2\n")
    with pytest.raises(ringbridge.ActivationFailed) as caught:
        make_worker(prefix)
    text = str(caught.value)
    assert text.startswith(
        f"worker 'own' did not start: {prefix} cannot be activated: {script} ended"
    )
    assert "| no licence for this machine" in text
    script.write_text("sleep 600\n")
    with pytest.raises(
        ringbridge.ActivationFailed, match=r"15-licence.sh did not end within 0.5 s"
    ):
        make_worker(prefix, start_timeout=0.5)


def test_the_poison_of_a_host_does_not_reach_the_worker(
    by_name: Facts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_worker: MakeWorker,
) -> None:
    for name, value in {
        "PYTHONHOME": "/nowhere",
        "PYTHONPATH": str(tmp_path),
        "LD_LIBRARY_PATH": str(tmp_path),
        "CONDA_PREFIX": str(by_name.other.prefix),
        "CONDA_SHLVL": "2",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "os.py").write_text("raise SystemExit('the wrong module')\n")
    (tmp_path / f"libpython{by_name.own.minor}.so.1.0").write_bytes(b"no library")
    assert make_worker("own").load("sys").prefix == str(by_name.own.prefix)
    with pytest.raises(ringbridge.WorkerStartFailed, match="encodings"):
        make_worker("own", keep_environ=["PYTHONHOME"])


def test_the_host_finds_its_environments_without_a_home(
    by_name: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    assert find("own").prefix == str(by_name.own.prefix)
    assert os.path.isabs(find("own").python)
