# make demo, make test: both install what is missing first (Debian 12, root).
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest -q
# Folders whose modules import each other by bare names, so that each is checked by itself. The
# bench uses the packet programs' tests, which in turn test its harness.
SCRIPTS := $(wildcard tests/datapath tests/lab tests/fuzz bench demo)

.PHONY: demo test bench fuzz setup build lint test-unit test-datapath test-fuzz test-lab generate clean

demo: build
	$(PYTHON) demo/main_job.py

test: lint test-unit test-datapath test-fuzz test-lab

bench: build
	$(PYTHON) bench/run.py

# Packets of any content, from seeds that no run has had; what is found names its seed.
fuzz: build
	$(PYTHON) tests/fuzz/fuzzer.py

setup:
	@tools/setup.sh

build: setup
	@$(PYTHON) tools/build_bpf.py

lint: build
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy src tools hatch_build.py $(wildcard tests/*.py) tests/unit tests/repo
	set -e; for folder in $(SCRIPTS); do MYPYPATH=$$folder:bench:tests/datapath $(PYTHON) -m mypy $$folder; done

test-unit: build
	$(PYTEST) -n 2 tests/unit tests/repo

test-datapath: build
	$(PYTEST) -n 2 tests/datapath

test-fuzz: build
	$(PYTEST) tests/fuzz

test-lab: build
	$(PYTEST) tests/lab

# What Python and the manual know of the packet programs' structs.
generate: build
	$(PYTHON) tools/gen_abi.py

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f src/pointsman/datapath/bpf/*.o
