# Everything that a newcomer needs:
#   make video PROMPT="a red ball bounces in the snow"     sets up what is missing and writes out.mp4 (or OUT=...)
#   make service                                           sets up what is missing and serves OpenAI's videos API here
#   make test                                              sets up what is missing and runs every check
# Variables: PYTHON (3.11 or newer), VENV (virtual environment), PIP_ARGS (more for pip), WORKERS (share the tests).

PYTHON ?= python3
VENV ?= .venv
OUT ?= out.mp4
WORKERS ?= auto
PIP_ARGS ?=
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help video service test lint clean setup setup-serve setup-dev

# Values go to the recipes through the environment, literally: quotes, spaces and dollar signs in them are theirs.
override PROMPT := $(value PROMPT)
override OUT := $(value OUT)
override VENV := $(value VENV)
export PROMPT OUT VENV PYTHON WORKERS

help:
	@sed -n '2,5s/^# *//p' Makefile

# Installs only when pyproject.toml or constraints.txt changed since the last time. The stamp is written last, so an
# interrupted set-up starts again. With the development tools the plain set-up is there too.
define INSTALL
	@set -eu; \
	wanted=$$(cat pyproject.toml constraints.txt | cksum); \
	if [ -x "$$VENV/bin/python" ]; then \
		for extra in $(2); do \
			if [ "$$(cat "$$VENV/.haneul$$extra" 2>/dev/null)" = "$$wanted" ]; then exit 0; fi; \
		done; \
	fi; \
	"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed; name it with PYTHON=..., such as PYTHON=python3.12" >&2; exit 1; }; \
	[ -x "$$VENV/bin/pip" ] || "$$PYTHON" -m venv "$$VENV" || \
		{ echo "error: Python's venv module does not work here; on Debian: apt install python3-venv" >&2; exit 1; }; \
	echo "Installing into $$VENV (once; some minutes) ..."; \
	"$$VENV/bin/python" -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '$(1)'; \
	for extra in $(3); do echo "$$wanted" > "$$VENV/.haneul$$extra"; done
endef

setup:
	$(call INSTALL,.,-core,-core)

setup-serve:
	$(call INSTALL,.[serve],-serve,-core -serve)

setup-dev:
	$(call INSTALL,.[dev],-dev,-core -serve -dev)

video: setup
	@if [ -z "$$PROMPT" ]; then echo 'error: say what to show: make video PROMPT="a red ball bounces in the snow"' >&2; exit 2; fi
	@"$$VENV/bin/python" -m haneul generate -o "$$OUT" --overwrite -- "$$PROMPT"

service: setup-serve
	@exec "$$VENV/bin/python" -m haneul serve

lint: setup-dev
	@"$$VENV/bin/python" -m ruff check .
	@"$$VENV/bin/python" -m ruff format --check .
	@"$$VENV/bin/python" -m mypy --strict haneul

test: lint
	@"$$VENV/bin/python" -m pytest -q -W error -n "$$WORKERS" --dist loadfile

clean:
	@rm -rf "$$VENV" build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find haneul tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
