# SPDX-License-Identifier: MIT
"""FlatBuffers' own C++ runtime: what it writes, we read; what we write, it verifies and reads."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rbr_testing.equality import identical, same_array
from rbr_testing.every_kind import VALUES, arrays
from rbr_testing.raw_peer import RawWorker
from rbr_testing.wire_schema import SCHEMA_FILE, verdicts

pytest.importorskip("flatbuffers")
from rbr_testing.official import Wire, meaning
from rbr_testing.plain_values import spec_of

SOURCE = Path(__file__).resolve().parents[1] / "c" / "oracle_flatbuf" / "official_copy.cpp"
SHARED_TEXTS, OWN_VTABLES, GENERATED = 1, 2, 4  # as in official_copy.cpp
REFLECTED = (0, SHARED_TEXTS, OWN_VTABLES, SHARED_TEXTS | OWN_VTABLES)


class OfficialCopy:
    """Frames, as C++ lays them out."""

    def __init__(self, directory: Path) -> None:
        flatc, compiler = shutil.which("flatc"), shutil.which("c++") or shutil.which("g++")
        if flatc is None or compiler is None:
            pytest.skip("no flatc, or no C++ compiler, here")
        for options in (["--cpp", "--gen-object-api"], ["--binary", "--schema"]):
            subprocess.run([flatc, *options, "-o", directory, SCHEMA_FILE], check=True, timeout=60)
        self._program, self._schema = directory / "official_copy", directory / "wire.bfbs"
        probe = [compiler, "-E", "-x", "c++", "-include", "flatbuffers/reflection.h", "/dev/null"]
        if subprocess.run(probe, capture_output=True, timeout=60).returncode != 0:
            pytest.skip("FlatBuffers' C++ headers (Debian: libflatbuffers-dev) are not here")
        command = [compiler, "-std=c++11", f"-I{directory}", "-o", self._program, SOURCE]
        subprocess.run([*command, "-lflatbuffers"], check=True, timeout=120)

    def __call__(self, frames: list[bytes], way: int) -> list[bytes]:
        sent = b"".join(struct.pack("<II", len(frame), way) + frame for frame in frames)
        done = subprocess.run(
            [self._program, self._schema], input=sent, capture_output=True, timeout=60, check=True
        )
        copies, at = [], 0
        while at < len(done.stdout):
            (size,) = struct.unpack_from("<I", done.stdout, at)
            copies.append(done.stdout[at + 4 : at + 4 + size])
            at += 4 + size
        assert len(copies) == len(frames)
        assert all(copies), "the C++ verifier refused a frame"
        return copies


@pytest.fixture(scope="module")
def official_copy(tmp_path_factory: pytest.TempPathFactory) -> OfficialCopy:
    return OfficialCopy(tmp_path_factory.mktemp("official_cpp"))


@pytest.mark.parametrize("way", REFLECTED)
def test_a_result_that_cpp_wrote_is_the_same_object(
    wire: Wire, raw_worker: RawWorker, official_copy: OfficialCopy, way: int
) -> None:
    ours = [raw_worker.show(value)[0] for value in VALUES]
    results = [wire.frame("Result", {"value": spec_of(value)}) for value in VALUES]
    for value, frame in zip(VALUES, official_copy(results, way)):
        assert identical(raw_worker.answer(frame, id_at=wire.id_at(frame)), value), value
    for frame, copied in zip(ours, official_copy(ours, way)):
        assert copied != frame
        assert identical(meaning(wire.read(copied)), meaning(wire.read(frame)))


def test_an_array_that_cpp_wrote_is_the_same_array(
    wire: Wire, raw_worker: RawWorker, official_copy: OfficialCopy
) -> None:
    given = [array for array in arrays() if array.size > 0]  # here, empty would be absent
    results = [wire.frame("Result", {"value": spec_of(array)}) for array in given]
    for way in (GENERATED, GENERATED | OWN_VTABLES):
        for array, frame in zip(given, official_copy(results, way)):
            assert same_array(raw_worker.answer(frame, id_at=wire.id_at(frame)), array)


def test_every_message_that_cpp_wrote_passes_our_verifier_and_means_the_same(
    wire: Wire, official_copy: OfficialCopy, wire_dump: Path, golden: Path
) -> None:
    frames = [path.read_bytes() for path in sorted(golden.glob("*.bin"))]
    for way in (*REFLECTED, GENERATED):
        copies = official_copy(frames, way)
        if way == GENERATED:
            assert set(verdicts(wire_dump, copies)) == {(0, 0)}
        for frame, copied in zip(frames, copies):
            one, other = meaning(wire.read(frame)), meaning(wire.read(copied))
            if way == GENERATED:
                one, other = without_empty(one), without_empty(other)
            assert identical(one, other)


def without_empty(spec: Any) -> Any:
    """What the generated classes keep: neither empty vectors nor numbers that are 0."""
    if isinstance(spec, list):
        return [without_empty(each) for each in spec]
    if isinstance(spec, dict):
        kept = {name: without_empty(each) for name, each in spec.items()}
        return {name: each for name, each in kept.items() if each not in (0, b"", [])}
    return spec
