# make setup    the environment in .venv; nothing to do where it is there
# make demo     a whole recipe on a synthetic corpus, no download: ends with a word error rate
# make test     the tests;  make lint  style, types, shell;  make bench  the measurements of benchmarks/
# make accept   say of changed code that it makes the results that it made before (tests/stages)
# make lmplz    kenlm's estimator of n-gram models; needs Boost's headers
.PHONY: help setup demo test lint bench accept lmplz
python := .venv/bin/python
scripts := $(wildcard utils/*.sh recipes/*/run.sh benchmarks/*.sh .ci/run)

help:
	@grep '^# make' Makefile | cut -c 3-

setup:
	@utils/setup.sh

demo: setup
	@bash recipes/demo/run.sh

test: setup
	@$(python) -m pytest $(ARGS)

lint: setup
	$(python) -m ruff check
	$(python) -m mypy asrkit local
	.venv/bin/shellcheck $(scripts)

bench: setup
	@$(python) benchmarks/all.py $(ARGS)

accept: setup
	@$(python) tests/stages/accepted_code.py

lmplz: setup
	@utils/lmplz.sh
