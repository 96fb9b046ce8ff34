# `make help` lists the targets. Everything that they install stays in this folder (.venv, .uv) and the user's cache.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .uv/bin/uv
BIN := .venv/bin
TAG ?= dev
export DOCKER_BUILDKIT ?= 1

.PHONY: help setup demo check format test test-faults test-operator-faults bench-workers bench-ingestion bench-operator docs images e2e kind-up kind-down clean

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-13s %s\n", $$1, $$2}'

setup: .venv/.made ## Make the environment from the lock file (brings its own uv)

$(UV):
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.made: pyproject.toml uv.lock | $(UV)
	$(UV) sync --locked --all-extras --quiet --python $(PYTHON)
	@: >$@

demo: setup ## The whole pipeline on this machine for a minute, and a count at its end (DEMO_ARGS: iothub demo --help)
	$(BIN)/iothub demo $(DEMO_ARGS)

check: setup ## Format, lint, types, import direction, charts, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy workers operator/telemetry_operator cli/iothub tests benchmarks
	$(BIN)/lint-imports
	$(UV) lock --check --quiet
	hack/cli-docs.sh --check
	$(BIN)/python hack/worker-docs.py --check
	$(BIN)/python hack/crd-docs.py --check
	hack/check-charts.sh

format: setup ## Put the code into its format and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: setup ## Unit, contract and integration tests, two at a time (start Kafka and mosquitto themselves; TEST_ARGS: pytest's)
	$(BIN)/pytest -m "not cluster" -n 2 --dist loadfile $(TEST_ARGS)

test-faults: setup ## Kill, cut and starve ingestion under load, and count (FAULT_ROUNDS=10 FAULT_SECONDS=60; FAULT_ARGS: pytest's)
	$(BIN)/pytest tests/faults $(FAULT_ARGS)

test-operator-faults: setup ## Kill, cut off and confuse the operator on the cluster of KUBECONFIG (FAULT_SECONDS=60; FAULT_ARGS: pytest's)
	$(BIN)/pytest -m cluster tests/operator_faults $(FAULT_ARGS)

bench-workers: setup ## The workers beside bare loops and their peers, one table (BENCH_ARGS: see benchmarks/README.md)
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-ingestion: setup ## Ingestion beside Telegraf, mq-bridge and FastAPI, one table (BENCH_ARGS: see benchmarks/ingestion.md)
	$(BIN)/python -m benchmarks.ingestion $(BENCH_ARGS)

bench-operator: setup ## The operator beside controller-runtime on the cluster of KUBECONFIG, one table (BENCH_ARGS: see benchmarks/operator.md)
	$(BIN)/python -m benchmarks.operator $(BENCH_ARGS)

docs: setup ## docs/cli.md from the commands, the tables of docs/workers.md, docs/demo.svg from the demo's screen
	hack/cli-docs.sh
	$(BIN)/python hack/worker-docs.py
	$(BIN)/python hack/crd-docs.py
	$(BIN)/iothub demo -f examples --duration 30 --picture docs/demo.svg

images: ## Build the worker's and the operator's image with the local Docker engine
	hack/images.sh $(TAG)

e2e: setup ## End-to-end tests on the cluster of KUBECONFIG; IMAGE_LOADER is a command that takes image names
	hack/e2e.sh $(TAG)

kind-up: ## A kind cluster with a local registry, the images, and the chart
	hack/kind-up.sh

kind-down: ## Delete the kind cluster and its registry
	hack/kind-down.sh

clean: ## Remove what the targets above have made in this folder
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build benchmarks/.peers benchmarks/kafka-streams/target
