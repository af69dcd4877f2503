# `make help` lists what there is. Every command does its own set-up, in .venv.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
SETUP := scripts/make_venv.sh pyproject.toml requirements/build.txt requirements/runtime.txt
PYTEST_ARGS ?=
# A file of tests runs as a whole in one process: what it starts, it starts once (tests/conftest.py has the order).
# Many wait for timers and for other programs: one process more than there are processors keeps these busy.
PARALLEL := -n $(shell n=$$(nproc); echo $$((n < 4 ? n + 1 : 4))) --dist loadfile
# Disks in the tests are files, and want a file system as servers have: /tmp may be memory.
TMPDIR ?= /var/tmp
export TMPDIR
BENCH_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help serve test test-unit test-vm test-long check lint types imports layout format bench lock dist deb clean

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(VENV)/.runtime ## Serve demo.img (a sparse 1 GiB disk, made if absent) on 127.0.0.1:3260
	@exec $(BIN)/python scripts/serve_demo.py

test: $(VENV)/.tests ## Install what the tests need and run them, but for the long ones
	@python3 scripts/debian_packages.py tests
	$(BIN)/python -m pytest $(PARALLEL) -m 'not thorough' $(PYTEST_ARGS)

test-vm: $(VENV)/.tests ## Run all tests with virtual machines and containers (as root)
	@python3 scripts/debian_packages.py tests
	$(BIN)/python -m pytest -m 'vm or thorough' tests/interop/vm $(PYTEST_ARGS)

test-long: $(VENV)/.tests ## Run the other tests that `make test` leaves out: the Debian package and more (as root)
	@python3 scripts/debian_packages.py tests
	$(BIN)/python -m pytest -m thorough --ignore tests/interop/vm tests $(PYTEST_ARGS)

test-unit: $(VENV)/.tests ## Run the tests that need no other program
	$(BIN)/python -m pytest $(PARALLEL) tests/unit tests/playbook $(PYTEST_ARGS)

check: lint types imports layout ## Lint, check types, imports, and that each module has its test (make -k: all of it)

lint: $(VENV)/.checks
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.checks
	$(BIN)/mypy

imports: $(VENV)/.checks
	$(BIN)/lint-imports

layout: $(VENV)/.checks
	$(BIN)/python scripts/check_test_mirror.py
	$(BIN)/python scripts/check_sizes.py

format: $(VENV)/.checks ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.runtime ## Compare the speed with tgtd on this machine
	@python3 scripts/debian_packages.py bench
	$(BIN)/python -m bench.compare $(BENCH_ARGS)

lock: ## Write the lock files; UPGRADE=--upgrade (or a package's name) for newer versions
	scripts/lock.sh $(UPGRADE)

dist: $(VENV)/.runtime ## Build the sdist and the wheel into dist/
	$(BIN)/python -m hatchling build

deb: $(VENV)/.runtime ## Build the Debian package into dist/
	@python3 scripts/debian_packages.py deb
	$(BIN)/python scripts/build_deb.py

clean: ## Remove what was built or installed here; disks (*.img) stay
	rm -rf $(VENV) .cache dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment grows by need: serving wants less than testing.
$(VENV)/.runtime: $(SETUP)
	scripts/make_venv.sh runtime
	@touch $@

$(VENV)/.tests: $(SETUP) requirements/tests.txt
	scripts/make_venv.sh tests
	@touch $@ $(VENV)/.runtime

$(VENV)/.checks: $(SETUP) requirements/checks.txt
	scripts/make_venv.sh checks
	@touch $@ $(VENV)/.tests $(VENV)/.runtime
