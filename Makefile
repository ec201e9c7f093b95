# SPDX-License-Identifier: MIT
#
# The verbs of this project. Everything is made below build/, and what is downloaded comes through
# pip into environments there: no root, no CMake, only a C compiler and any CPython from 3.9 on.
# CMakeLists.txt describes the build; setup.py drives it; this file only says in which order.

VENV  := build/venv
OTHER := build/venv-other
DOCS  := build/venv-docs
BENCH := build/bench
CONDA := build/conda
WHEEL := build/dist
HOSTS := build/hosts
WITH  := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
PIP   := -m pip install -qq --disable-pip-version-check

# Folders too, so that a file that goes away counts as a change.
SOURCES := CMakeLists.txt setup.py pyproject.toml README.md LICENSE \
           $(shell find csrc python -name '.*' -prune -o -name __pycache__ -prune -o \
                        -name '*.egg-info' -prune -o -print)
SOURCES := $(wildcard $(SOURCES))

# What is tested is what is installed: no variable may put the source folder before it.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP

CHECKS := check-format check-lint check-types check-stubs check-generated check-layers check-tidy

.PHONY: help demo test test-hosts test-qt check verify bench wheel plugin docs soak clean FORCE $(CHECKS)
.DELETE_ON_ERROR:

help:
	@echo 'ringbridge: calls between two Python interpreters, through shared memory'
	@echo
	@echo '  make demo     the main job on real data; makes its own environments; ends with a picture'
	@echo '  make test     builds, then the C tests (plain and under sanitizers), then the Python tests'
	@echo '  make test-hosts'
	@echo '                in the real QGIS, Blender and FreeCAD, where they are installed'
	@echo '  make test-qt  ringbridge.qt in more Pythons and with all Qt bindings, in windows under Xvfb;'
	@echo "                CPython's own asyncio tests on its loops"
	@echo '  make check    format, lint, types, stubs, generated code, layers, exported symbols'
	@echo '  make bench    what a call and an array cost here, in C and in Python, beside the'
	@echo '                machine and other ways to cross; a page of it in build/bench'
	@echo '  make wheel    one wheel for every CPython from 3.9 on, in build/dist; installed in each'
	@echo '                Python that is here, and each then calls each'
	@echo '  make plugin   the zip of the QGIS plugin, in build/plugin, checked by the rules of its repository'
	@echo '  make docs     the documentation as HTML, in build/docs/html; a warning is an error'
	@echo '  make verify   the models of sleep and wake-up; errors put in on purpose, all noticed; no'
	@echo '                look to hide a lost wake-up; every sent byte, under valgrind; fuzzing'
	@echo '  make soak     the long runs of the tests, hours; adds up what they count;'
	@echo '                SCALE=0.1 for a try, RUN=word for the runs with that word in their title'
	@echo '  make clean    removes build/'
	@echo
	@echo 'Needed: a C compiler, and CPython 3.9 or newer with its headers. Another interpreter than'
	@echo 'the first one found: make PYTHON=/path/to/python3 test'

# ---------------------------------------------------------------------------------- environments

# Touched only when the environment is made anew.
$(VENV)/.made: FORCE
	@PYTHON="$(PYTHON)" .ci/make_venv $(VENV)

$(VENV)/.tools: $(VENV)/.made
	@echo '== build tools (cmake, setuptools)'
	@$(VENV)/bin/python $(PIP) 'setuptools>=64' wheel 'cmake>=3.18'
	@touch $@

# build/lib.* would bring back files that are gone; build/temp.* remembers another interpreter.
$(VENV)/.installed: $(VENV)/.tools $(SOURCES)
	@echo '== build and install ringbridge'
	@rm -rf build/lib.* $(if $(filter $(VENV)/.tools,$?),build/temp.*)
	@$(WITH) $(VENV)/bin/python $(PIP) --no-build-isolation '.[test,test-qt]'
	@touch $@

$(VENV)/.checkers: pyproject.toml $(VENV)/.made | $(VENV)/.installed
	@echo '== clang-format, clang-tidy, ruff, mypy, bandit (as pyproject.toml has them)'
	@$(VENV)/bin/python -c "import importlib.metadata as m; print(*[r.split(';')[0] for r in \
	    m.requires('ringbridge') if 'extra == \"check\"' in r.replace(\"'\", '\"')], sep='\n')" \
	    | xargs $(VENV)/bin/python $(PIP)
	@touch $@

# Beside whom `ringbridge bench` measures. From the metadata, as above: nothing is built again.
$(VENV)/.peers: pyproject.toml $(VENV)/.made | $(VENV)/.installed
	@echo '== loky, pyzmq, rpyc, appose (the extra `bench`)'
	@$(VENV)/bin/python -c "import importlib.metadata as m; print(*[r.split(';')[0] for r in \
	    m.requires('ringbridge') if 'extra == \"bench\"' in r.replace(\"'\", '\"')], sep='\n')" \
	    | xargs -d '\n' $(VENV)/bin/python $(PIP)
	@touch $@

# A second Python version, for the worker's side; empty where this machine has only one.
$(OTHER)/.installed: $(VENV)/.installed $(SOURCES)
	@mkdir -p $(OTHER)
	@if .ci/make_venv --other-than $(VENV) $(OTHER); then \
	    echo '== build and install ringbridge for the second Python version'; \
	    rm -rf build/lib.*; \
	    $(OTHER)/bin/python $(PIP) 'setuptools>=64' wheel numpy ml_dtypes pyarrow pandas && \
	    $(WITH) $(OTHER)/bin/python $(PIP) --no-build-isolation .; \
	elif [ $$? = 3 ]; then echo '== no second Python version here: its tests are skipped'; \
	else exit 1; fi
	@mkdir -p $(OTHER) && touch $@

# Real conda environments, made of this machine's Pythons and of wheels; empty where that cannot be.
$(CONDA)/.made: .ci/make_conda .ci/pythons.py $(wildcard .ci/conda_*.py) | $(VENV)/.installed
	@echo '== conda environments for the tests'
	@if $(WITH) python .ci/make_conda $(CONDA) \
	    $$($(VENV)/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); then :; \
	elif [ $$? = 3 ]; then echo '== no conda environments here: their tests are skipped'; \
	else exit 1; fi
	@mkdir -p $(CONDA) && touch $@

# One wheel for all Pythons that are here.
$(WHEEL)/.made: .ci/make_wheel .ci/pythons.py $(VENV)/.installed $(SOURCES)
	@$(WITH) python .ci/make_wheel $(WHEEL)
	@touch $@

# For an application's sys.path: a folder with this one package in it.
$(HOSTS)/.made: $(WHEEL)/.made
	@rm -rf $(HOSTS) && mkdir -p $(HOSTS)
	@$(VENV)/bin/python -m zipfile -e $(WHEEL)/ringbridge-*.whl $(HOSTS)/wheel
	@mkdir $(HOSTS)/copy && mv $(HOSTS)/wheel/ringbridge $(HOSTS)/copy && rm -r $(HOSTS)/wheel
	@touch $@

# Sphinx needs nothing of ours but the sources.
$(DOCS)/.made: FORCE
	@PYTHON="$(PYTHON)" .ci/make_venv $(DOCS)

$(DOCS)/.tools: pyproject.toml $(DOCS)/.made
	@echo '== sphinx, myst-parser, furo (the versions pinned in pyproject.toml)'
	@sed -n '/^docs = \[/,/^\]/ s/^ *"\(.*\)",$$/\1/p' pyproject.toml >$(DOCS)/requirements.txt
	@$(DOCS)/bin/python $(PIP) -r $(DOCS)/requirements.txt
	@touch $@

# ----------------------------------------------------------------------------------------- verbs

test: $(VENV)/.installed $(OTHER)/.installed $(CONDA)/.made
	@$(WITH) .ci/test_c plain
	@$(WITH) .ci/test_c address,undefined
	@$(WITH) .ci/test_c thread
	@echo "== Python tests: $$($(VENV)/bin/python -V), other: $$($(OTHER)/bin/python -V 2>/dev/null || echo none)"
	@$(WITH) RBR_WIRE_DUMP=$(CURDIR)/build/c-plain/tests/c/wire_dump \
	    RBR_RAW_PEER=$(CURDIR)/build/c-plain/tests/c/raw_peer \
	    RBR_RINGBENCH_BROKEN=$(CURDIR)/build/c-plain/tests/c/ringbench_broken \
	    RBR_CONDA=$(CURDIR)/$(CONDA) \
	    RBR_TEST_PYTHONS=$(wildcard $(CURDIR)/$(OTHER)/bin/python) $(VENV)/bin/pytest tests/python
	@.ci/test_qt $(VENV)/bin/python PyQt5 PyQt6 PySide6

# All of them, whatever the first ones say; each has its own name too.
check: $(VENV)/.checkers
	@$(MAKE) --no-print-directory -k $(CHECKS)

$(CHECKS): $(VENV)/.checkers $(VENV)/.installed

check-format:
	@echo '== clang-format' && $(WITH) .ci/check_c format

check-tidy:
	@echo '== clang-tidy (a minute or two)' && $(WITH) .ci/check_c tidy

check-lint:
	@echo '== ruff' && $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	@echo '== bandit, on what plugins ship' && $(VENV)/bin/bandit -q -r plugin

check-types:
	@echo '== mypy --strict' && $(VENV)/bin/mypy python/ringbridge plugin

check-stubs:
	@echo '== stubs against the extension' && cd build && \
	    venv/bin/stubtest --mypy-config-file ../pyproject.toml ringbridge._core

check-generated:
	@echo '== generated code' && $(VENV)/bin/python csrc/schema/generate_wire.py --check

check-layers:
	@echo '== layers, sizes, exported symbols' && \
	    $(WITH) $(VENV)/bin/pytest -q tests/python/test_layering*.py tests/python/test_symbols.py

demo: $(VENV)/.made
	@$(WITH) $(VENV)/bin/python docs/demo/setup_demo.py --run docs/demo/run_demo.py

# The worker in the second Python version, where there is one.
bench: $(VENV)/.peers $(OTHER)/.installed
	@rm -rf $(BENCH) && mkdir -p $(BENCH)
	@for mode in floor call 'call --wait block' stream open large compare; do \
	    echo "== ringbench $$mode" && \
	    file="$$(echo "$$mode" | tr -s ' -' '--').json" && \
	    $(VENV)/bin/ringbench $$mode --json "$(BENCH)/$$file" || exit 1; \
	done
	@echo '== ringbridge bench: calls and arrays, in Python, beside others' && \
	    worker=$(OTHER)/bin/python && { [ -x $$worker ] || worker=$(VENV)/bin/python; } && \
	    $(VENV)/bin/ringbridge bench $$worker --json $(BENCH)/python.json
	@$(VENV)/bin/ringbench report -o $(BENCH)/index.html $(BENCH)/*.json
	@echo '$(BENCH)/index.html'

wheel: $(WHEEL)/.made
	@echo '== every interpreter calls every other' && $(WITH) python .ci/test_wheel $(WHEEL)

# The checkers bring Bandit, which the repository runs on what is uploaded.
plugin: $(VENV)/.checkers $(VENV)/.installed
	@rm -rf build/plugin
	@$(VENV)/bin/ringbridge package-plugin plugin/ringbridge_qgis -o build/plugin

# An application that is not installed is skipped, and said.
test-hosts: $(HOSTS)/.made $(CONDA)/.made $(VENV)/.installed
	@echo '== inside of QGIS, Blender and FreeCAD'
	@RBR_CONDA=$(CURDIR)/$(CONDA) RBR_HOST_COPY=$(CURDIR)/$(HOSTS)/copy \
	    $(VENV)/bin/pytest tests/hosts

# A Python or a screen that is not here is skipped, and said.
test-qt: $(WHEEL)/.made
	@$(WITH) python .ci/test_qt_pythons build/qt $(WHEEL)

docs: $(DOCS)/.tools
	@$(DOCS)/bin/sphinx-build -q -W --keep-going -n -b html -d build/docs/.doctrees docs build/docs/html
	@echo 'build/docs/html/index.html'

# The models need spin; without it they are skipped, and that is said.
verify: $(VENV)/.installed
	@echo '== the models of sleep, wake-up and death' && tests/model/run
	@echo '== errors put into the core on purpose' && $(WITH) python -B tests/mutants/run
	@$(WITH) .ci/test_c nolook
	@$(WITH) .ci/test_c valgrind
	@$(WITH) .ci/test_checks $(CURDIR)/$(VENV)/bin/python
	@$(WITH) .ci/fuzz

soak: $(VENV)/.installed $(OTHER)/.installed
	@$(WITH) RBR_TEST_PYTHONS=$(wildcard $(CURDIR)/$(OTHER)/bin/python) \
	    .ci/soak --scale $(or $(SCALE),1) --only "$(RUN)"

clean:
	rm -rf build python/*.egg-info
