# Everything a developer or CI runs. `make help` lists the verbs.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := check
.ONESHELL:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TAG ?= dev
REGISTRY ?= docker.io/local
IMAGES := operator prepare trainer
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder

export PYTHONPATH := .
export HF_HUB_OFFLINE ?= 1

.PHONY: help check
help: ## List the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-20s %s\n", $$1, $$2}'

check: lint test-unit ## What to run while writing: lint and unit tests (the default)

## --- development ---
.PHONY: setup lock format lint generate verify
setup: $(VENV)/.installed ## Make .venv with all pinned dependencies (needs Python 3.11 or newer)

$(VENV)/.installed: requirements/dev.txt requirements/build.txt pyproject.toml
	@echo "[setup] installing the pinned dependencies into $(VENV)"
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/build.txt
	DS_BUILD_OPS=0 $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

lock: setup ## Pin the newest versions that pyproject.toml allows, with hashes
	compile() { $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade "$$@"; }
	compile --extra dev pyproject.toml --output-file requirements/dev.txt
	for extra in operator prepare trainer; do
	  compile --constraints requirements/dev.txt --extra $$extra pyproject.toml --output-file requirements/$$extra.txt
	done
	compile --constraints requirements/dev.txt --output-file requirements/build.txt - <<< $$'setuptools\nuv'

format: setup ## Format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup ## ruff, mypy strict, import-linter
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

generate: setup ## Write everything that is generated from the models and tables
	$(BIN)/python -m docs_gen

verify: setup ## Fail if something generated is out of date
	$(BIN)/python -m docs_gen --check

## --- tests ---
.PHONY: test test-unit test-integration test-e2e test-slow
UNIT := tests --ignore tests/integration --ignore tests/chart --ignore tests/e2e

test: lint verify cluster-with-images ## All tests: unit, chart, integration (real apiserver), e2e (real kubelet)
	eval "$$($(PYTHON) -m cluster env)"
	$(PYTEST) tests --durations 10

test-unit: setup ## Unit tests: no cluster, under a minute
	$(PYTEST) $(UNIT)

test-integration: setup tools ## Tests of chart and operator against a real apiserver that they start themselves
	$(PYTEST) tests/chart tests/integration

test-e2e: setup cluster-with-images ## Tests on the local cluster, with real pods
	eval "$$($(PYTHON) -m cluster env)"
	$(PYTEST) tests/e2e

test-slow: setup cluster-with-images ## The tests that take minutes each: an operator killed after each write, several pods, 2,000 bots, Kueue
	eval "$$($(PYTHON) -m cluster env)"
	$(BIN)/python -m pytest -m slow tests

## --- benchmarks ---
.PHONY: bench-control-plane bench-engine bench-job bench-parity bench-pods bench-sources bench-training
bench-engine: setup ## Our training engine beside the HuggingFace Trainer, on the same bots (OPTIONS="--mix log-uniform …")
	$(BIN)/python -m benchmarks.engine $(OPTIONS)

bench-control-plane: setup ## Our operator beside Kubeflow Trainer and plain Jobs on fake nodes (OPTIONS="--sizes 300 …")
	$(BIN)/python -m benchmarks.control_plane $(OPTIONS)

bench-job: setup ## One train Job of many small bots, from its first import to its last file (OPTIONS="--bots 64 …")
	$(BIN)/python -m benchmarks.job $(OPTIONS)

bench-pods: setup cluster-with-images ## 64 bots at once on the local cluster: Jobs of many beside Jobs of their own (OPTIONS="--alone 16")
	eval "$$($(PYTHON) -m cluster env)"
	$(BIN)/python -m benchmarks.pods $(OPTIONS)

bench-sources: setup ## Memory and time that an archive of a million posts takes (POSTS=1000000)
	$(BIN)/python -m benchmarks.sources $(or $(POSTS),1000000)

bench-parity: setup ## Our losses beside the HuggingFace Trainer's, step by step; fails above 1e-4
	$(BIN)/python -m benchmarks.parity

bench-training: setup ## Steps and tokens per second and MFU of one training, beside the HuggingFace Trainer's
	$(BIN)/python -m benchmarks.training $(OPTIONS)

## --- cluster and images ---
.PHONY: tools cluster-up cluster-down cluster-status cluster-with-images images
tools: ## Build the pinned Kubernetes tools (cached outside the checkout)
	$(PYTHON) -m cluster build

cluster-up: ## Start the local Kubernetes (root, Debian); nothing happens if it runs already
	$(PYTHON) -m cluster up

cluster-down: ## Stop the local Kubernetes and remove its state
	$(PYTHON) -m cluster down

cluster-status: ## Say what of the local Kubernetes runs
	$(PYTHON) -m cluster status

cluster-with-images: ## Both, side by side: each waits for other things than the other
	$(MAKE) --no-print-directory --jobs 2 cluster-up images

images: ## Build the images: into the local cluster, or with docker if BUILDER=docker
	scripts/build-images $(REGISTRY) $(TAG)

## --- demo ---
.PHONY: demo demo-down
demo: setup ## From nothing to posts by a freshly trained bot
	$(BIN)/python -m demo up

demo-down: setup ## Remove the demo and the local cluster
	$(BIN)/python -m demo down
