# Everything runs in .venv, which is made at the first call; nothing has to be activated.

PYTHON ?= python3
ALGO = ppo
ENV = CartPole-v1
CPU = 1
ARGS =

PY := .venv/bin/python
PIP := $(PY) -m pip install --disable-pip-version-check -c constraints.txt

# EXTRAS=mujoco,box2d adds optional parts. One stamp each: asked for once, an extra stays.
KNOWN := bench box2d docs mp4 mujoco
comma := ,
ASKED := $(subst $(comma), ,$(EXTRAS))
UNKNOWN := $(filter-out $(KNOWN),$(ASKED))
ifneq ($(UNKNOWN),)
$(error there is no extra "$(firstword $(UNKNOWN))"; EXTRAS can be $(KNOWN))
endif
READY := .venv/.ok $(sort $(ASKED:%=.venv/.extra-%) $(wildcard .venv/.extra-*))

.DEFAULT_GOAL := help
.PHONY: help setup train test slow faults exercises docs lint clean
.NOTPARALLEL:

help:
	@echo 'make setup   install into .venv; EXTRAS=mujoco,box2d adds environments'
	@echo 'make train   train: ALGO=$(ALGO) ENV=$(ENV) CPU=$(CPU), and ARGS="--seed 1" for more flags'
	@echo 'make test    the fast tests'
	@echo 'make slow    the learning tests, some minutes'
	@echo 'make faults  kill, fill, damage and freeze: what is promised, proved'
	@echo 'make exercises   prove the checks of the exercises, some minutes'
	@echo 'make docs    build the pages: docs/_build/html/index.html'
	@echo 'make lint    style and spelling'
	@echo 'make clean   remove .venv and what was built, but no runs'
	@echo 'The first of these makes .venv with $(PYTHON); PYTHON=... chooses another (3.11 or newer).'

setup: $(READY)
	@echo 'ready: $(PY) -m rlcourse.run --help'

train: $(READY)
	$(PY) -m rlcourse.run "$(ALGO)" --env "$(ENV)" --cpu "$(CPU)" $(ARGS)

test: $(READY)
	$(PY) -m pytest -q -n 2 --dist loadfile $(ARGS)

slow: $(READY)
	$(PY) -m pytest -q -m slow $(ARGS)

faults: $(READY)
	$(PY) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m fault $(ARGS)

exercises: $(READY)
	$(PY) -m exercises dev check $(ARGS)

docs: $(READY) .venv/.extra-docs
	@command -v node >/dev/null || { echo >&2 'node renders the mathematics: install Node.js first'; exit 1; }
	$(PY) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo 'built: docs/_build/html/index.html'

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m codespell_lib

clean:
	rm -rf .venv build dist rlcourse.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.ok: setup.py pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo >&2 \
	  '$(PYTHON) is not Python 3.11 or newer, which rlcourse needs: name one with PYTHON=...'; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { echo >&2 \
	  '$(PYTHON) comes without venv: apt install python3-venv, then call make again'; exit 1; }
	"$(PYTHON)" -m venv .venv
	$(PIP) -e '.[mpi,render,dev]'
	@touch $@

.venv/.extra-%: .venv/.ok
	$(PIP) -e '.[$*]'
	@touch $@
