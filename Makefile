SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
AIRFLOW_VENV := .venv-airflow
SUPERSET_VENV := .venv-superset
SPARK_VENV := .venv-spark
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	if command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
EXAMPLE := examples/user_events
REPORT := select * from reports.user_events_daily order by 1, 2, 3
PYTEST_ARGS ?=
# what tests import and rewrite is compiled once, also where the environment says otherwise
unexport PYTHONDONTWRITEBYTECODE
LANDING_TESTS := tests/recovery/test_kill.py tests/properties/test_laws.py $(wildcard $(addprefix tests/contracts/test_, \
	changed_rules.py consume.py copy.py dispositions.py empty_refresh.py erase.py files.py hostile_input.py kept_whole.py known_identities.py \
	layout_landing.py quarantine.py raw_json.py windows.py))
RUN_EXTRAS := postgres rabbitmq http lineage examples
MKDOCS = NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "make %-12s %s\n", $$1, $$2}'

.PHONY: run
run: $(VENV)/run.stamp ## Run the example on the embedded DuckDB, and print the daily report
	@$(BIN)/penstock run --project-dir $(EXAMPLE)
	@echo
	@echo "the daily report:"
	@$(BIN)/penstock query --project-dir $(EXAMPLE) "$(REPORT)"

.PHONY: test
test: $(VENV)/dev.stamp ## Run the tests but for the slow ones, on a private PostgreSQL and RabbitMQ too
	@tools/need_servers
	$(BIN)/python -m pytest -n 3 --dist worksteal --costliest=20 -m "not chromium and not slow" --hypothesis-profile=fast $(PYTEST_ARGS)

.PHONY: test-all
test-all: $(VENV)/dev.stamp ## Run all tests, the slow ones too, in half an hour; PENSTOCK_TEST_STORIES=16 for hours of random changes to models
	@tools/need_servers
	$(BIN)/python -m pytest -n 2 --dist worksteal --costliest=20 $(PYTEST_ARGS)

.PHONY: test-airflow
test-airflow: $(VENV)/dev.stamp $(AIRFLOW_VENV)/airflow.stamp ## Run the DAGs in a real Airflow, which has an environment of its own
	PENSTOCK_TEST_AIRFLOW=$(CURDIR)/$(AIRFLOW_VENV)/bin/airflow $(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS) tests/airflow

.PHONY: test-superset
test-superset: $(VENV)/dev.stamp $(SUPERSET_VENV)/superset.stamp ## Import into a real Superset, which has an environment of its own
	@tools/need_servers
	PENSTOCK_TEST_SUPERSET=$(CURDIR)/$(SUPERSET_VENV)/bin $(BIN)/python -m pytest -o faulthandler_timeout=2000 $(PYTEST_ARGS) tests/superset

.PHONY: test-spark
test-spark: $(VENV)/dev.stamp $(SPARK_VENV)/spark.stamp ## Run the tests of the destination spark, and all others that land, over Iceberg tables, in an environment of its own
	@tools/need_servers spark
	PENSTOCK_TEST_SPARK=1 $(SPARK_VENV)/bin/python -m pytest -n 2 --dist loadfile --hypothesis-profile=fast -m "not slow or cluster" -k spark \
		$(PYTEST_ARGS) tests/spark $(LANDING_TESTS)

.PHONY: test-report
test-report: $(VENV)/dev.stamp ## Test the report and the documentation in headless Chromium, with axe
	@tools/need_chromium
	$(BIN)/python -m pytest -m chromium tests/report

.PHONY: fuzz
fuzz: $(VENV)/dev.stamp ## Fuzz the kernel of the native lane with libFuzzer; FUZZ_SECONDS=3600 for an hour
	tools/fuzz_kernel $(FUZZ_SECONDS)

.PHONY: check
check: $(VENV)/dev.stamp ## Lint, types, module sizes, import direction, the documentation's links, Dockerfile and compose files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/check_modules.py
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml compose.override.yaml
	$(BIN)/shellcheck .ci/run scripts/make_env scripts/airflow/init tools/install tools/make_venv tools/fuzz_kernel tools/need_*
	$(MKDOCS) build

.PHONY: docs
docs: $(VENV)/dev.stamp ## Build the documentation into build/site
	$(MKDOCS) build --clean
	@echo build/site/index.html

.PHONY: docs-serve
docs-serve: $(VENV)/dev.stamp ## Show the documentation on 127.0.0.1:8000, anew after each change
	$(MKDOCS) serve

.PHONY: reference
reference: $(VENV)/dev.stamp ## Make the reference pages in docs/ anew from the code
	$(BIN)/python -m tools.make_reference

.PHONY: bench
bench: $(VENV)/dev.stamp ## Measure files, models and HTTP APIs against the peers; writes benchmarks/RESULTS.md and RESULTS-http.md
	@tools/need_servers
	$(BIN)/python -m benchmarks $(BENCH_ARGS)
	$(if $(BENCH_ARGS),,$(BIN)/python -m benchmarks.http_bench)
	$(BIN)/python -m tools.make_reference

.PHONY: bench-http
bench-http: $(VENV)/dev.stamp ## Measure HTTP APIs alone; writes benchmarks/RESULTS-http.md
	$(BIN)/python -m benchmarks.http_bench $(BENCH_ARGS)
	$(BIN)/python -m tools.make_reference

.PHONY: bench-queue
bench-queue: $(VENV)/dev.stamp ## Measure queues; writes benchmarks/RESULTS-queue.md
	@tools/need_servers
	$(BIN)/python -m benchmarks.queue_bench $(BENCH_ARGS)
	$(BIN)/python -m tools.make_reference

.PHONY: bench-sizes
bench-sizes: $(VENV)/dev.stamp ## Measure disk, WAL, CPU and memory by size; writes benchmarks/RESULTS-sizes.md
	@tools/need_servers
	$(BIN)/python -m benchmarks.sizes $(BENCH_ARGS)
	$(BIN)/python -m tools.make_reference

.PHONY: bench-spark
bench-spark: $(VENV)/dev.stamp $(SPARK_VENV)/spark.stamp ## Measure Iceberg tables and Spark, in an environment of their own; writes benchmarks/RESULTS-spark.md
	@tools/need_servers spark
	$(SPARK_VENV)/bin/python -m benchmarks.spark_bench $(BENCH_ARGS)
	$(BIN)/python -m tools.make_reference

.PHONY: bench-all
bench-all: bench bench-queue bench-sizes bench-spark soak ## Measure everything anew, one after the other

.PHONY: soak
soak: $(VENV)/dev.stamp ## Ten minutes of 2,000 messages a second with random faults; writes benchmarks/RESULTS-soak.md
	@tools/need_servers
	PENSTOCK_SOAK_SECONDS=600 PENSTOCK_SOAK_RATE=2000 PENSTOCK_SOAK_OUTPUT=benchmarks/RESULTS-soak.md \
		$(BIN)/pytest -s --timeout 900 tests/recovery/test_soak.py

.PHONY: up
up: ## Start PostgreSQL, RabbitMQ and Penstock with docker compose; COMPOSE_PROFILES=airflow,metabase for more
	scripts/make_env
	docker compose up --detach --wait --build

.PHONY: down
down: ## Stop them all; their data stays
	docker compose --profile '*' down

.PHONY: wheel
wheel: $(VENV)/dev.stamp ## Build the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null
	@ls dist

.PHONY: lock
lock: ## Compile the hashed requirement files anew
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--quiet pyproject.toml $(RUN_EXTRAS:%=--extra %) --group build -c requirements/pins.in -o requirements/run.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--quiet pyproject.toml --extra all --group dev -c requirements/run.txt -o requirements/dev.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--quiet pyproject.toml --extra all -c requirements/run.txt -o requirements/image.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--quiet --group build -c requirements/run.txt -o requirements/build.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--quiet --group airflow -o requirements/airflow.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--quiet --group superset -o requirements/superset.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--quiet pyproject.toml --extra all --group spark -c requirements/dev.txt -o requirements/spark.txt

.PHONY: clean
clean: ## Delete the environment, caches and what the example made
	rm -rf $(VENV) $(AIRFLOW_VENV) $(SUPERSET_VENV) $(SPARK_VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis examples/*/.penstock examples/*/warehouse.duckdb*

$(VENV)/bin/python:
	@tools/make_venv "$(PYTHON)"

INSTALLED := pyproject.toml tools/build_kernel.py $(wildcard src/penstock/native/*.[ch])

$(VENV)/run.stamp: requirements/run.txt $(INSTALLED) | $(VENV)/bin/python
	@for needed in $^; do [ $(VENV)/dev.stamp -nt $$needed ] || { tools/install requirements/run.txt; break; }; done
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(INSTALLED) | $(VENV)/bin/python
	@tools/install requirements/dev.txt
	@touch $(VENV)/run.stamp $@

$(AIRFLOW_VENV)/bin/python:
	@tools/make_venv "$(PYTHON)" $(AIRFLOW_VENV)

$(AIRFLOW_VENV)/airflow.stamp: requirements/airflow.txt pyproject.toml $(VENV)/dev.stamp | $(AIRFLOW_VENV)/bin/python
	@tools/install requirements/airflow.txt $(AIRFLOW_VENV)
	@touch $@

# its pandas is one that has no wheels for later Pythons
$(SUPERSET_VENV)/bin/python:
	@tools/make_venv "$$(command -v python3.11 || command -v python3.12 || echo $(PYTHON))" $(SUPERSET_VENV)

$(SUPERSET_VENV)/superset.stamp: requirements/superset.txt pyproject.toml $(VENV)/dev.stamp | $(SUPERSET_VENV)/bin/python
	@tools/install requirements/superset.txt $(SUPERSET_VENV)
	@touch $@

$(SPARK_VENV)/bin/python:
	@tools/make_venv "$(PYTHON)" $(SPARK_VENV)

$(SPARK_VENV)/spark.stamp: requirements/spark.txt pyproject.toml $(VENV)/dev.stamp | $(SPARK_VENV)/bin/python
	@tools/install requirements/spark.txt $(SPARK_VENV)
	@touch $@
