# SPDX-License-Identifier: MIT
"""F5: a frame with one thing wrong is refused, with the defect and the byte that is wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from rbr_testing import rounds
from rbr_testing.bad_frames import Anatomy, Bend, Defect, bends
from rbr_testing.wire_schema import verdicts

#: Of one golden frame at most so many bends of a defect: a full frame has thousands of places.
PER_DEFECT_MAX = 400
TRUNCATED_FRAMES = 20


def chosen(anatomy: Anatomy) -> list[Bend]:
    """All bends of the frame, evenly thinned where there are too many of a defect."""
    by_defect: dict[Defect, list[Bend]] = {}
    for bend in bends(anatomy):
        by_defect.setdefault(bend.defect, []).append(bend)
    thinned = []
    for found in by_defect.values():
        step = -(-len(found) // PER_DEFECT_MAX)
        thinned += found[::step]
    return thinned


def test_golden_frames_are_right(wire_dump: Path, golden: Path) -> None:
    frames = [path.read_bytes() for path in sorted(golden.glob("*.bin"))]
    assert verdicts(wire_dump, frames) == [(0, 0)] * len(frames)


@pytest.mark.seconds(300)
def test_each_bad_frame_is_refused_with_its_defect_and_its_offset(
    wire_dump: Path, golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counted: Counter[Defect] = Counter()
    wrong: list[str] = []
    for path in sorted(golden.glob("*.bin")):
        frame = path.read_bytes()
        tried = chosen(Anatomy(frame))
        found = verdicts(wire_dump, [bend.applied_to(frame) for bend in tried])
        for bend, verdict in zip(tried, found):
            counted[bend.defect] += 1
            if verdict != (bend.defect, bend.offset):
                wrong.append(f"{path.stem}: {bend}: the verifier says {verdict}")
    with capsys.disabled():
        each = ", ".join(f"{defect.name} {count}" for defect, count in sorted(counted.items()))
        print(f"\n  {sum(counted.values())} bad frames: {each}")
    assert not wrong, f"{len(wrong)} of {sum(counted.values())}, such as\n" + "\n".join(wrong[:10])
    assert sum(counted.values()) >= 500
    rounds.count("bad frames refused with defect and byte", sum(counted.values()))
    # SIZE is about truncated frames, and test_bombs.py about limits.
    assert set(counted) == set(Defect) - {Defect.SIZE, Defect.DEPTH, Defect.TABLES, Defect.BYTES}


def test_every_truncation_of_twenty_frames_is_refused(wire_dump: Path, golden: Path) -> None:
    # Smallest first: a full frame has tens of thousands of prefixes, and the same kinds of them.
    paths = sorted(golden.glob("*.bin"), key=lambda path: path.stat().st_size)[:TRUNCATED_FRAMES]
    assert len(paths) == TRUNCATED_FRAMES
    tried = 0
    for path in paths:
        frame = path.read_bytes()
        # What is cut off behind the last byte that means something is padding.
        end = Anatomy(frame).end
        assert len(frame) - 8 < end <= len(frame)
        found = verdicts(wire_dump, [frame[:size] for size in range(end)])
        accepted = [size for size, (defect, _) in enumerate(found) if defect == 0]
        assert not accepted, f"{path.stem}: cut off after {accepted} of {len(frame)} bytes"
        assert all(defect == Defect.SIZE for defect, _ in found[:8])
        tried += len(found)
    rounds.count("truncated frames refused", tried)
