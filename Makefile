# The commands of a developer; the product's own are `python pipelines/amplitude.py` and `sqlmesh`.

BIN := .venv/bin
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; done)

# Three processes of tests for two processors, because tests wait for servers, for other processes and for the disk.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) \* 3 / 2)

# Tests write in memory where Linux has 4 GB for it, because a small load writes and syncs many files.
IN_MEMORY := $(shell test "$$(df -k --output=avail /dev/shm 2>/dev/null | tail -1)" -gt 4000000 2>/dev/null && echo TMPDIR=/dev/shm)
PYTEST = $(IN_MEMORY) $(BIN)/python -m pytest -n $(WORKERS)

# npm writes this file last.
ANALYSER := tests/support/zetasql/node_modules/.package-lock.json

.PHONY: analyser demo dashboard browser test test-landing test-nightly verify-snowflake lint lint-python lint-sql lint-docs format docs site lock clean

demo: .venv/installed
	$(BIN)/python -m simulator demo

# Silver and gold in a browser, as the settings in .env name them; Ctrl-C ends it.
dashboard: .venv/installed
	$(BIN)/python pipelines/amplitude.py dashboard

# The core, with the unit tests of the models (alone: `sqlmesh test`); four minutes on two cores.
test: .venv/installed
	$(PYTEST) --dist worksteal -m "not slow"

# The core, and what is slow besides: every fault, kills at random points, many small runs, Snowflake's stand-in.
# One session, because a second one would collect all tests again, start its own servers and end with idle processors.
# Some share a process (IN_ONE_PROCESS in tests/conftest.py), because each would start a server and a browser of its own.
test-landing: .venv/installed .venv-standin/installed $(ANALYSER)
	$(PYTEST) --dist loadgroup --durations 30 -m "not nightly"

# More of the same: further seeds, users, tools and whole lives, of which each kind has a test in `test-landing`.
test-nightly: .venv/installed .venv-standin/installed $(ANALYSER)
	$(PYTEST) --dist loadgroup --durations 30 -m nightly

# Chromium, in which the pages of the dashboard are tested; on Debian and Ubuntu, as root.
browser:
	apt-get update -qq
	apt-get install -y -qq chromium >/dev/null

# With a Snowflake account and the settings of production in .env; about ten minutes.
verify-snowflake: .venv/installed
	$(BIN)/python infra/verify_snowflake.py

lint: lint-python lint-sql lint-docs

lint-python: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pylint --score n pipelines simulator infra dashboard docs bench tests

lint-sql: .venv/installed
	$(BIN)/sqlmesh lint
	$(BIN)/sqlmesh format --check

lint-docs: .venv/installed
	$(BIN)/python docs/data_dictionary.py --check
	$(BIN)/python docs/settings_reference.py --check
	$(BIN)/python docs/commands_reference.py --check
	$(BIN)/python docs/macros_reference.py --check
	$(BIN)/python docs/json_schemas.py --check
	$(BIN)/python docs/check_docs.py

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlmesh format

# The pages of docs/reference/ that come from the code, and the schemas of users' files.
docs: .venv/installed
	$(BIN)/python docs/data_dictionary.py
	$(BIN)/python docs/settings_reference.py
	$(BIN)/python docs/commands_reference.py
	$(BIN)/python docs/macros_reference.py
	$(BIN)/python docs/json_schemas.py

# The documents as a site, in `site/`. It fails on a link that leads nowhere.
site: .venv-docs/installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict

# Installs a lock into an environment. A lock is complete, so two halves of it can be installed at once, because pip works
# on one processor alone. It would compile on one, too, and the tests of packages with them.
install = awk '/^[^ ]/ { half = !half } { print > ("$(1)/half-" (half ? 1 : 2)) }' $(2) && \
	printf '%s\n' 1 2 | xargs -P 2 -I{} $(1)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-compile \
		--require-hashes -r $(1)/half-{} && \
	$(1)/bin/python -m compileall -q -j 0 -x /tests/ $(1)/lib

# The environment, from the lock alone: every package in its pinned version, with its hash. The project itself is
# installed in place, because its command works on this folder: its settings, its models and its lake.
.venv/installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found."; exit 1; }
	$(PYTHON) -m venv .venv
	$(call install,.venv,requirements.lock)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# The Snowflake stand-in of the tests has an environment of its own, for it needs other versions of DuckDB and sqlglot.
.venv-standin/installed: tests/support/standin/requirements.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found."; exit 1; }
	$(PYTHON) -m venv .venv-standin
	$(call install,.venv-standin,$<)
	@touch $@

# The analyser of Snowflake's SQL, for the tests.
analyser: $(ANALYSER)

$(ANALYSER): tests/support/zetasql/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed and was not found."; exit 1; }
	npm ci --prefix tests/support/zetasql --silent --ignore-scripts --no-audit --no-fund
	@touch $@

# The site has an environment of its own, because nothing else needs its packages.
.venv-docs/installed: docs/requirements.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found."; exit 1; }
	$(PYTHON) -m venv .venv-docs
	$(call install,.venv-docs,$<)
	@touch $@

# Solves the versions anew, for every platform and Python; uv is fetched into an environment of its own.
lock:
	test -d .venv-lock || $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check uv
	.venv-lock/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-annotate --no-header \
		--all-extras --group dev pyproject.toml -o requirements.lock
	.venv-lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
		--no-header tests/support/standin/requirements.in -o tests/support/standin/requirements.lock
	.venv-lock/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-annotate --no-header \
		--group docs -o docs/requirements.lock
	npm update --prefix tests/support/zetasql --package-lock-only --omit-lockfile-registry-resolved --silent

clean:
	rm -rf .venv .venv-docs .venv-lock .venv-standin tests/support/zetasql/node_modules data logs site .cache sqlmesh/.cache
