# make lab    set up what is missing and open the course in JupyterLab
# make test   set up what is missing and prove it: format, lint, types, unit tests, every notebook
# make help   the rest

# The first interpreter in the supported range; `make PYTHON=/path/to/python lab` overrides it.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& command -v "$$p" && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help lab test lint unit notebooks exercises bench reproduce doctor lock clean

help:
	@echo "make lab        open the lessons in JupyterLab"
	@echo "make test       format, lint, types, unit tests and every notebook"
	@echo "make lint       format, lint, types and the notebooks' form only"
	@echo "make unit       unit tests only"
	@echo "make notebooks  run and normalise the notebooks whose code changed"
	@echo "make exercises  make the exercises anew from the solutions"
	@echo "make bench      the side-by-side measurements (PYTORCH=python with PyTorch, if any)"
	@echo "make reproduce  the published figures run again, on the published data (about an hour)"
	@echo "make doctor     what this machine has; quote it in a bug report"
	@echo "make lock       bring constraints.txt up to date with pyproject.toml"
	@echo "make clean      remove the environment"

lab: $(READY)
	@$(BIN)/cnncourse lab

test: lint
	$(BIN)/python -m pytest --nbval -n 2 --dist loadfile

lint: $(READY)
	@$(BIN)/ruff format --check --quiet . || { echo "format: run .venv/bin/ruff format ." >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/python tools/notebooks.py check
	@$(BIN)/python tools/exercises.py check

unit: $(READY)
	$(BIN)/python -m pytest

notebooks: $(READY)
	$(BIN)/python tools/notebooks.py run

exercises: $(READY)
	@$(BIN)/python tools/exercises.py build

# Side by side: each prints its ratios and keeps them in benchmarks/results/bench.csv. What trains for
# accuracy takes longer and is run by name. PYTORCH=/path/to/python names an interpreter with
# PyTorch, if it is to be a peer and is not installed here.
BENCHES := startup data reference builds scaling
bench: $(READY)
	@for name in $(BENCHES); do echo "== benchmarks/$$name.py"; \
		PYTORCH=$(PYTORCH) $(BIN)/python benchmarks/$$name.py || exit 1; done

reproduce: $(READY)
	@$(BIN)/cnncourse reproduce --source official

doctor: $(READY)
	@$(BIN)/cnncourse doctor

lock: $(READY)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal \
		--python-version 3.10 --upgrade --quiet -o constraints.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The stamp is written last: an interrupted installation is taken up again, a finished one skipped.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.10 to 3.13 found. Install one (https://www.python.org/downloads/)," \
		"or name it: make PYTHON=/path/to/python lab" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python could not make a virtual environment. On Debian and Ubuntu:" \
		"sudo apt install python3-venv" >&2; exit 1; }
	@echo "Installing the course into $(VENV) (once, about 1 GB to download, a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@
