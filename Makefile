# make setup    create the environment in .venv, if it isn't up to date
#               TORCH=2.13.0 [K2=FILE-OR-URL]: a newer torch and the k2 wheel that asrkit doctor names
# make demo     run a complete recipe on a synthetic corpus, without a download
# make test     run the tests, in up to four processes (JOBS=1: in one, ARGS=tests/lm: these)
# make lint     check style, types and shell scripts;  make bench  run benchmarks/
# make extras   install what the extras and their tests need: transcribe, export, serve, filters
# make accept   accept a change of code that doesn't change results (tests/stages)
# make lmplz    build kenlm's n-gram estimator lmplz; needs Boost's headers
.PHONY: help setup demo test lint bench accept lmplz extras
python := .venv/bin/python
JOBS := $(shell cores=$$(nproc); echo $$((cores < 3 ? cores + 1 : 4))) # one more than cores, since many tests wait
scripts := $(wildcard utils/*.sh recipes/*/run.sh benchmarks/*.sh .ci/*)

help:
	@grep '^# make' Makefile | cut -c 3-

setup:
	@TORCH='$(TORCH)' K2='$(K2)' utils/setup.sh

demo: setup
	@bash recipes/demo/run.sh

test: setup
	@$(python) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup
	$(python) -m ruff check
	$(python) -m mypy asrkit local
	.venv/bin/shellcheck $(scripts)

bench: setup
	@$(python) benchmarks/all.py $(ARGS)

extras: setup
	@version=$$($(python) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	$(python) -m pip install --disable-pip-version-check --quiet --progress-bar off --only-binary :all: \
	    -r requirements/use.txt -c requirements/locked-$$version.txt -c requirements/locked-use-$$version.txt

accept: setup
	@$(python) tests/stages/accepted_code.py

lmplz: setup
	@utils/lmplz.sh
