# SPDX-License-Identifier: MIT
"""tqdm's bars in a worker: the progress of their call, with the code that has them unchanged."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rbr_testing.fixtures import MakeWorker

import ringbridge

tqdm = pytest.importorskip("tqdm")


@pytest.mark.parametrize("module", ["tqdm", "tqdm.auto", "tqdm.notebook", "tqdm.asyncio"])
def test_a_loop_is_shown_as_progress_and_not_drawn(
    teller: ringbridge.RemoteModule, module: str
) -> None:
    told, drawn = teller.loop(module, 3, {"desc": "reading"})
    assert [(done, total) for done, total, _ in told] == [(0, 3), (1, 3), (2, 3), (3, 3), (3, 3)]
    assert {text for _, _, text in told} == {"reading"}
    assert drawn == ""


def test_a_bar_of_a_notebook_takes_the_options_of_one(teller: ringbridge.RemoteModule) -> None:
    told, drawn = teller.loop("tqdm.notebook", 1, {"display": False, "colour": "green"})
    assert told[-1][:2] == (1, 1) and drawn == ""


def test_a_total_may_be_unknown(teller: ringbridge.RemoteModule) -> None:
    told, _ = teller.loop_without_total(2)
    assert (told[0][:2], told[-1][:2]) == ((0, None), (2, None))


def test_of_nested_bars_the_outermost_counts_and_the_others_are_its_text(
    teller: ringbridge.RemoteModule,
) -> None:
    told, drawn = teller.nested_loops()
    assert {total for _, total, _ in told} == {2}
    assert (1, 2, "sheets, tiles 2/3") in told
    assert told[-1] == (2, 2, "sheets")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert drawn == ""


def test_description_and_postfix_are_the_text(teller: ringbridge.RemoteModule) -> None:
    told, _ = teller.bar_with_postfix()
    texts = [text for _, _, text in told]
    assert texts[0] == "fit" and "fit (loss=0.5)" in texts and texts[-1] == "polish (loss=0.5)"


def test_a_bar_with_a_file_of_its_own_is_drawn_there_too(teller: ringbridge.RemoteModule) -> None:
    (told, drawn), file = teller.loop_into_a_file()
    assert told[-1][:2] == (3, 3) and drawn == "" and "3/3" in file


def test_a_bar_for_terminals_only_is_shown_and_a_disabled_one_is_not(
    teller: ringbridge.RemoteModule,
) -> None:
    told, drawn = teller.loop("tqdm", 2, {"disable": None})
    assert told[-1][:2] == (2, 2) and drawn == ""
    assert teller.loop("tqdm", 2, {"disable": True}) == ([], "")


def test_bars_can_be_drawn_as_everywhere(teller: ringbridge.RemoteModule) -> None:
    told, drawn = teller.loop_with_switch(False)
    assert told == [] and "3/3" in drawn
    told, drawn = teller.loop_with_switch(True)
    assert told[-1][:2] == (3, 3) and drawn == ""


def test_outside_of_a_call_bars_are_drawn(teller: ringbridge.RemoteModule) -> None:
    told, drawn = teller.loop_outside_of_a_call()
    assert told == [] and "3/3" in drawn


def test_counts_of_odd_kinds_do_no_harm(teller: ringbridge.RemoteModule) -> None:
    told, _ = teller.loop_with_odd_counts()
    assert told[0][:2] == (0, 3)


def test_a_cancel_ends_a_loop_and_leaves_tqdm_usable(teller: ringbridge.RemoteModule) -> None:
    assert teller.cancelled_loop() == ("the host cancelled this call", 3, [0, 1])
    assert teller.cancelled_while_another_thread_refreshes() == "True"


def test_it_is_found_whenever_it_is_imported_and_never_imported_by_us(
    make_worker: MakeWorker,
) -> None:
    teller = make_worker().load("rbr_testing.tasks")
    assert not teller.loaded("tqdm")
    assert teller.import_and_patch(["tqdm.std", "tqdm", "tqdm.notebook"]) == [True] * 3
    other = make_worker()
    other.load("tqdm")  # the load that imports it
    assert other.load("rbr_testing.tasks").import_and_patch(["tqdm"]) == [True]


def test_one_that_is_there_before_the_first_load_is_found(make_worker: MakeWorker) -> None:
    code = (
        "import tqdm, tqdm.notebook; from ringbridge import tqdm_bars; tqdm_bars.watch_imports();"
        "tqdm_bars.watch_imports();"
        "print(tqdm.tqdm.display.__module__, tqdm.notebook.tqdm.display.__module__)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert said.stdout.split() == ["ringbridge.tqdm_bars"] * 2


def test_another_import_hook_that_asks_all_others_does_no_harm() -> None:
    code = (
        "import sys, importlib.util\n"
        "class Hook:\n"
        "    busy = False\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if self.busy or name != 'tqdm.std': return None\n"
        "        self.busy = True\n"
        "        try: return importlib.util.find_spec(name)\n"
        "        finally: self.busy = False\n"
        "from ringbridge import tqdm_bars\n"
        "sys.meta_path.insert(0, Hook())\n"
        "tqdm_bars.watch_imports()\n"
        "sys.meta_path.insert(0, Hook())\n"
        "import tqdm; print(tqdm.tqdm.display.__module__)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert said.stdout.split() == ["ringbridge.tqdm_bars"]


def test_in_a_host_tqdm_is_as_it_was() -> None:
    assert tqdm.tqdm.display.__module__ == "tqdm.std"
