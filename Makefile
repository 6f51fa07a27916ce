# Each target is one line of help; `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help course test lab student site slides doctor lint clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

course: $(READY) ## run all ten lessons (profile cpu) and write runs/cpu/index.html
	@$(BIN)/python -m helpers run --profile cpu

test: $(READY) ## everything CI runs: style, unit tests, and every lesson for real
	@$(BIN)/python -m ruff check src tests
	@$(BIN)/python -m pytest -n auto --dist loadfile -m "not lessons"
	@$(BIN)/python -m pytest -m lessons

lab: $(READY) ## open the course in JupyterLab at lesson 00; runs/ is in its file list
	@$(BIN)/jupyter lab --notebook-dir=. notebooks/00_check_your_setup.ipynb

student: $(READY) ## write the lessons without solutions to student/ (another folder: TO=DIR)
	@$(BIN)/python -m helpers student --to $(or $(TO),student)

site: $(READY) ## write the static site of a finished run to site/ (another run: RUN=DIR)
	@$(BIN)/python -m helpers site --run $(or $(RUN),runs/cpu)

slides: $(READY) ## write the lessons of a finished run as slides to slides/
	@$(BIN)/python -m helpers slides --run $(or $(RUN),runs/cpu)

doctor: $(READY) ## say what this machine can run
	@$(BIN)/python -m helpers doctor

lint: $(READY) ## format and check the code
	@$(BIN)/python -m ruff format src tests
	@$(BIN)/python -m ruff check --fix src tests

clean: ## remove the environment (runs/ and the model cache stay)
	rm -rf $(VENV)

# Made again when the lock or the package's description changes; otherwise nothing is installed twice.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) src/helpers/machine/doctor.py
	@echo "setting up $(VENV) (once, a few minutes) ..."
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11, 5))' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
