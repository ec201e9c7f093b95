# SPDX-License-Identifier: MIT
"""The blocks of docs/how-to/qt.md and qt-asyncio.md run with this binding, clicked on from outside.

Those after the comment `<!-- qt -->` are one script; after `<!-- qt: file sums.py -->`, a file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BINDING

HOW_TO = Path(__file__).resolve().parents[2] / "docs/how-to"
BLOCK = re.compile(
    r"^<!-- qt(?:: file (?P<file>\w+\.py))? -->\n```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

BEFORE = """
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from ringbridge.qt import binding

def clicked_on():
    QTimer.singleShot(0, click)
    return binding.run(app)

def click():
    if not window.button.isEnabled():
        QTimer.singleShot(10, click)
        return
    window.button.click()
    look()

def look():
    if window.label.text() == "4,999,950,000":
        app.quit()
    else:
        QTimer.singleShot(10, look)
"""

AFTER_ASYNCIO = """
from PySide6.QtWidgets import QSlider

async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)

async def check(worker):
    app.setQuitOnLastWindowClosed(False)
    careful = Careful()
    careful.show()
    careful.close()
    assert careful.isVisible()
    await until(lambda: not careful.isVisible())

    ok, cancel = QPushButton(), QPushButton()
    first = asyncio.create_task(first_of(ok, cancel))
    await asyncio.sleep(0)
    cancel.click()
    assert await first == "cancel"

    slider, label = QSlider(), QLabel()
    watching = asyncio.create_task(watch(slider, label))
    await asyncio.sleep(0)
    slider.setValue(7)
    await until(lambda: label.text() == "7")
    watching.cancel()

    asking = ask()
    await until(QApplication.activeModalWidget)
    box = QApplication.activeModalWidget()
    box.button(QMessageBox.StandardButton.Yes).click()
    await asking

    assert await compute(worker.load("sums"), label) == 45 + 190

async def checked(worker):
    try:
        await asyncio.wait_for(check(worker), 30)
        print("all of it")
    finally:
        app.quit()

with rb.Worker(sys.executable, paths=["."]) as worker, using_asyncio_from_qt() as loop:
    loop.create_task(checked(worker))
    binding.run(app)
"""


@pytest.mark.parametrize(
    ("page", "after", "printed"),
    [("qt.md", "", ""), ("qt-asyncio.md", AFTER_ASYNCIO, "again\nall of it\n")],
)
def test_a_page_s_blocks_run(page: str, after: str, printed: str, tmp_path: Path) -> None:
    text = (HOW_TO / page).read_text()
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == text.count("<!-- qt")
    for block in blocks:
        if block["file"]:
            (tmp_path / block["file"]).write_text(block["code"])
    code = "".join(block["code"] for block in blocks if not block["file"])
    assert code.count("app.exec()") == 1
    code = code.replace("app.exec()", "clicked_on()")
    ended = subprocess.run(
        [sys.executable, "-c", f"{BEFORE}{code}{after}".replace("PySide6", BINDING)],
        cwd=tmp_path,
        env={**os.environ, "QT_API": BINDING},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == printed, ended.stderr
    assert "Error" not in ended.stderr, ended.stderr
