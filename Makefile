# `make help` lists what can be made. Everything is installed into .venv.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install lint type test test-all data train eval tensorboard parity bench bench-decoding torture fuzz faults golden docs clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' \
	  | awk -F'|' '{printf "  make %-15s %s\n", $$1, $$2}'
	@echo "  Options go in ARGS: make train ARGS='model=wav2letter trainer.epochs=5'"

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

install: $(VENV)/.installed  ## Install the program and its tools into .venv

lint: install  ## Check format and style
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .

type: install  ## Check types, strictly
	$(RUN) -m mypy

test: install  ## Run the fast tests (no network, minutes)
	$(RUN) -m pytest -n auto $(ARGS)

test-all: install  ## Run every test that this machine can run
	$(RUN) -m pytest -n auto -m 'not bench' $(ARGS)

data: install  ## Make the embedded corpus, 1.5 hours of synthesised speech
	$(RUN) -m asr.prepare corpus=spoken

train: data  ## Train and evaluate on the embedded corpus (about ten minutes on two cores)
	$(RUN) -m asr.train experiment=spoken $(ARGS)
	@$(MAKE) --no-print-directory eval ARGS=
	@echo
	@echo "What to try next:"
	@echo "  make tensorboard                                          the curves, in a browser"
	@echo "  make eval                                                 the word error rate again"
	@echo "  $(RUN) -m asr.transcribe FILE.wav                what your model hears in a file"
	@echo "  $(RUN) -m asr.train experiment=spoken model=wav2letter"

eval: install  ## Word error rate of the latest run, or of run=NAME, on its test set; lm=FILE: beam too
	$(RUN) -m asr.evaluate $(if $(run),run=$(run)) $(if $(lm),decoder=beam decoder.lm=$(lm)) $(ARGS)

tensorboard: install  ## Show the curves of all runs at http://localhost:6006
	$(VENV)/bin/tensorboard --logdir runs

.parity_env/.installed: scripts/parity/requirements.txt
	$(PYTHON) -m venv --clear .parity_env
	.parity_env/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

parity: install .parity_env/.installed  ## Hold our loss against TensorFlow, Keras and optax, live
	.parity_env/bin/python scripts/parity/frameworks.py .parity_env/parity.json
	$(RUN) scripts/parity/compare.py .parity_env/parity.json --record

.peers_env/.installed: benchmarks/decoding/requirements.txt
	$(PYTHON) -m venv --clear .peers_env
	.peers_env/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

bench-decoding: install .peers_env/.installed  ## Our decoder beside others' (needs Python 3.10-3.12, g++, cmake)
	$(RUN) benchmarks/decoding/run.py $(ARGS)

QUESTIONS := startup step features error_rate padding loading manifest augment

bench: install  ## Measure speed, loading, memory and start-up, and hold them against their goals
	@for question in $(QUESTIONS); do \
	  echo "--- benchmarks/$$question.py"; $(RUN) benchmarks/$$question.py || exit 1; done
	$(RUN) benchmarks/step.py --result step_conformer model=conformer objective=cr_ctc
	$(RUN) benchmarks/goals.py

torture: install  ## Kill real training runs a hundred times and compare their ends, bit by bit
	$(RUN) scripts/torture.py $(ARGS)

fuzz: install  ## Feed 100,000 damaged and hostile files to the readers
	$(RUN) scripts/fuzz.py --count 100000 --seed 1 $(ARGS)

faults: install  ## Plant each fault for real, and see what is lost
	$(RUN) benchmarks/faults.py $(ARGS)

golden: install  ## Rewrite the recorded numbers that tests compare with
	$(RUN) -m pytest -n auto -m 'not bench' tests --golden

docs: install  ## Write docs/options.md anew, from the comments in configs/
	$(RUN) scripts/options.py docs/options.md

clean:  ## Remove the environment and caches; runs and data stay
	rm -rf $(VENV) .parity_env .peers_env *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
