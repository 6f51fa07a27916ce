# The targets are those of tasks.py, which also runs where there is no make; `make` alone lists them.
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help course test short lab student site slides doctor lint setup clean

help course test short lab doctor lint setup:
	@$(PYTHON) tasks.py $@ $(if $(GPU),--gpu)

student: # another folder: TO=DIR
	@$(PYTHON) tasks.py student --to $(or $(TO),student)

site slides: # of another run: RUN=DIR
	@$(PYTHON) tasks.py $@ --run $(or $(RUN),runs/cpu)

clean: # the environment only: runs/ and the model cache stay
	rm -rf .venv
