# Everything a contributor needs, on a machine that has only Python >= 3.11 and make.
# Each target makes its virtual environment, installs what it lacks, and says what it does;
# stamp files inside the environment make the second run quick.

PYTHON ?= python3
VENV ?= .venv
PARITY_VENV ?= .venv-parity
# Where a CPU-only build of PyTorch is found, e.g. https://download.pytorch.org/whl/cpu
# (optional: without it pip takes the build that its own configuration offers).
TORCH_INDEX ?=
PYTEST_ARGS ?= -q -n auto
BENCH_ARGS ?=

BIN := $(VENV)/bin
PARITY_BIN := $(PARITY_VENV)/bin
PIP := -m pip --disable-pip-version-check --no-input
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: help demo test lint format parity bench clean
.DELETE_ON_ERROR:
# The stamps stay: make would delete the ones that only a pattern rule names.
.SECONDARY:

help:
	@echo "make demo    train, save, load and serve a classifier on real data"
	@echo "make test    run the tests (without the oracles)"
	@echo "make lint    ruff check, ruff format --check, pyright"
	@echo "make format  let ruff mend what it can"
	@echo "make parity  compare with PyTorch and JAX (skipped where they cannot be installed)"
	@echo "make bench   measure against PyTorch and JAX; BENCH_ARGS='mlp-train --rounds 30'"
	@echo "make clean   remove the environments and caches"

demo: $(VENV)/.examples
	@echo "==> training on scikit-learn's handwritten digits (examples/digits.py)"
	@$(BIN)/python examples/digits.py

test: $(VENV)/.dev $(VENV)/.bench
	@echo "==> running the tests: pytest -m 'not parity' $(PYTEST_ARGS)"
	@$(BIN)/python -m pytest -m "not parity" $(PYTEST_ARGS)

lint: $(VENV)/.dev $(VENV)/.bench $(VENV)/.examples
	@status=0; \
	echo "==> ruff check"; $(BIN)/ruff check . || status=1; \
	echo "==> ruff format --check"; $(BIN)/ruff format --check . || status=1; \
	echo "==> pyright"; $(BIN)/pyright --pythonpath $(BIN)/python || status=1; \
	exit $$status

format: $(VENV)/.dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# The oracles are large and not offered for every platform: that is a reason to skip, clearly
# said, and not a failure (so pip speaks aloud). A failure to install numbagrad itself is one.
parity: $(PARITY_VENV)/.dev $(PARITY_VENV)/.bench
	@if $(MAKE) --no-print-directory $(PARITY_VENV)/.parity; then \
	    echo "==> comparing with PyTorch and JAX: pytest -m parity $(PYTEST_ARGS)"; \
	    $(PARITY_BIN)/python -m pytest -m parity $(PYTEST_ARGS); \
	else \
	    echo "==> parity SKIPPED: PyTorch or JAX cannot be installed here; pip's reason is above"; \
	fi

bench: $(VENV)/.bench $(PARITY_VENV)/.dev
	@$(MAKE) --no-print-directory $(PARITY_VENV)/.parity || \
	    echo "==> PyTorch or JAX cannot be installed here: they will be reported as missing"
	@mkdir -p out
	@echo "==> measuring; the figures go to out/bench.json"
	@$(BIN)/python -m bench run $(BENCH_ARGS) --json out/bench.json \
	    --torch-python $(PARITY_BIN)/python --jax-python $(PARITY_BIN)/python

clean:
	rm -rf $(VENV) $(PARITY_VENV) out .pytest_cache .ruff_cache .hypothesis

# <environment>/.created, then one stamp per extra: <environment>/.dev, .bench, .examples.
%/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "numbagrad needs Python 3.11 or newer: make PYTHON=/path/to/python3"; exit 1; }
	@echo "==> making the virtual environment $(@D) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(@D)
	@touch $@

$(PARITY_VENV)/.parity: pyproject.toml | $(PARITY_VENV)/.created
	@echo "==> installing PyTorch and JAX into $(@D) (large; once)"
	@$(@D)/bin/python $(PIP) install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	    --editable '.[parity]'
	@touch $@

define EXTRA_RULE
$(1)/.$(2): pyproject.toml | $(1)/.created
	@echo "==> installing numbagrad[$(2)] into $(1)"
	@$(1)/bin/python $$(PIP) --quiet --quiet install --editable '.[$(2)]'
	@touch $$@
endef
$(foreach extra,dev bench examples,$(eval $(call EXTRA_RULE,$(VENV),$(extra))))
$(foreach extra,dev bench,$(eval $(call EXTRA_RULE,$(PARITY_VENV),$(extra))))

# pip must not run twice at once in one environment.
.NOTPARALLEL:
