# Two commands on a fresh machine with Python 3.11+ and make, neither of which installs torch:
#   make run    sets up (the extra `app`), pulls the weights and does the main job
#   make test   sets up for development and passes the tests
# Beside them `make check`: lint, types, layers, doctests. Then, with torch and every other extra,
# make test-train (what needs torch, and what takes seconds a test) and make test-slow (minutes).
PYTHON ?= python3
GROUP ?= examples/groups/bus-fares.toml
WORKERS ?= 2
TAG ?=
REPOSITORY ?=
VENV := .venv
BIN := $(VENV)/bin
# One worker a processor; a file's tests stay together for as long as both are busy.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
# No test loads the large model.
TESTED_WITH := smollm2-135m-instruct all-minilm-l6-v2
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TESTED := --extra app --extra questions --extra study --extra warm
DEV := --no-deps -r requirements/dev.lock --editable .
UV := $(BIN)/uv pip compile --universal --no-header --no-annotate --python-version 3.11 --quiet

.PHONY: run test test-train test-slow attack check bench docs docs-site pictures dist release-check lock audit sbom clean
.DELETE_ON_ERROR:

run: $(VENV)/app.stamp
	$(BIN)/commonweal models pull
	mkdir -p out
	$(BIN)/commonweal agree $(GROUP) --json out/result.json --report out/report.html

test: $(VENV)/dev.stamp
	$(BIN)/commonweal models pull $(TESTED_WITH)
	$(PYTEST) -m "not (slow or train or heavy)"

test-train: $(VENV)/full.stamp
	$(BIN)/commonweal models pull $(TESTED_WITH)
	$(PYTEST) -m "(train or heavy) and not slow"

test-slow: $(VENV)/full.stamp
	$(BIN)/commonweal models pull $(TESTED_WITH)
	$(BIN)/python -m pytest -m slow --hypothesis-profile=thorough

# The study under attack and misfortune, the long attacks too; prints what was tried and what held.
attack: $(VENV)/dev.stamp
	$(PYTEST) -q -m "attack" tests/study

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q --doctest-modules --doctest-ignore-import-errors --ignore-glob='*/migrations/env.py' src

bench: $(VENV)/full.stamp
	$(BIN)/commonweal models pull qwen2.5-coder-1.5b-instruct $(TESTED_WITH)
	set -e; for each in benchmarks/*.py; do echo "== $$each"; $(BIN)/python $$each; done

# The part of the docs that is made from the code: command-line help, record format, configs.
docs: $(VENV)/dev.stamp
	$(BIN)/python docs/make_cli_reference.py
	$(BIN)/python docs/make_record_format.py
	$(BIN)/python docs/make_training_config.py

# The pictures of README and pages, from a browser: the report of `make run`, and a session in a room.
pictures: run $(VENV)/dev.stamp
	$(BIN)/python docs/make_report_picture.py out/report.html
	$(BIN)/python docs/make_study_pictures.py

# The docs site, into build/site; fails at a warning, a dead link or anything loaded from elsewhere.
# MkDocs gets a place of its own: it needs nothing of ours installed, only the sources.
docs-site: build/docs.stamp
	NO_MKDOCS_2_WARNING=1 build/docs/bin/mkdocs build --strict

build/docs.stamp: requirements/docs.lock
	test -x build/docs/bin/python || $(PYTHON) -m venv build/docs
	build/docs/bin/python -m pip --disable-pip-version-check --quiet install -r requirements/docs.lock
	touch $@

# Source archive and wheel, into dist/; the wheel has at most 13 MB and is tried in an environment of its own.
dist:
	rm -rf dist build/dist
	$(PYTHON) -m venv build/dist
	build/dist/bin/python -m pip --disable-pip-version-check --quiet install build twine
	build/dist/bin/python -m build
	build/dist/bin/twine check --strict dist/*
	test "$$(stat -c %s dist/*.whl)" -lt 13000000
	$(PYTHON) -m venv --clear build/dist
	build/dist/bin/python -m pip --disable-pip-version-check --quiet install dist/*.whl
	cd build && dist/bin/commonweal --version && dist/bin/commonweal plugins

# Whether a tag may become a release: make release-check TAG=v0.1.0 REPOSITORY=https://...
release-check:
	$(PYTHON) docs/release_check.py "$(TAG)" "$(REPOSITORY)"

# Newest versions within pyproject.toml's bounds, for every platform and Python. The CUDA libraries
# that some builds of torch want are left to pip, so that a CPU build installs without them.
lock: $(VENV)/dev.stamp
	echo 'torch==2.13.0' | $(UV) pyproject.toml --all-extras --group dev -c - -o requirements/full.lock
	$(UV) pyproject.toml $(TESTED) --group dev -c requirements/full.lock -o requirements/dev.lock
	$(UV) pyproject.toml --extra app -c requirements/full.lock -o requirements/app.lock
	$(UV) --group docs -o requirements/docs.lock
	sed -i -E '/^(nvidia|cuda|triton)/d' requirements/full.lock

# Known vulnerabilities of what is installed; asks an advisory service on the network. The tool gets a
# place of its own, so that it cannot change what is installed.
audit:
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit
	set -e; for each in app dev full; do \
	  build/audit/bin/pip-audit --strict --no-deps --disable-pip -s osv -r requirements/$$each.lock; done

# What is locked as a bill of materials, in CycloneDX's JSON: build/sbom-app.json and so on.
sbom:
	$(PYTHON) -m venv build/sbom
	build/sbom/bin/python -m pip install --quiet cyclonedx-bom
	set -e; for each in app dev full; do build/sbom/bin/cyclonedx-py requirements \
	  requirements/$$each.lock --pyproject pyproject.toml -o build/sbom-$$each.json; done

$(VENV)/app.stamp: requirements/app.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -r requirements/app.lock
	$(PIP) install --no-deps --editable .
	touch $@

# What is locked is complete, so nothing is resolved. uv takes a fraction of pip's time; pip, which may
# have been told of a mirror that uv was not, does it where uv cannot.
$(VENV)/dev.stamp: requirements/dev.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint requirements/dev.lock uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python $(DEV) || $(PIP) install $(DEV)
	touch $@

$(VENV)/full.stamp: requirements/full.lock $(VENV)/dev.stamp
	$(PIP) install -r requirements/full.lock
	touch $@

clean:
	rm -rf $(VENV) out build .pytest_cache .mypy_cache .ruff_cache .hypothesis
