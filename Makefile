# The commands of this repository. Each sets up what it needs in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS ?= tests examples
# One process more than there are cores, since many tests wait for a worker; each has a Redis of its own. A file's
# tests stay together: many share an installation.
PYTEST_OPTIONS ?= -n $$(( $$($(BIN)/python -c 'import os; print(os.cpu_count() or 1)') + 1 )) --dist loadfile

.PHONY: help run test test-long chaos lint format docs bench bench-quick bench-results bench-profiles bench-batches \
  bench-growth bench-matching bench-reconciling bench-waiting clean

help: ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

run: $(VENV)/.runtime ## set up and start everything; Ctrl-C stops it
	@exec $(BIN)/python manage.py up

test: $(VENV)/.dev ## run the tests, but for the long ones
	$(BIN)/python -m pytest $(PYTEST_OPTIONS) -m "not long" $(TESTS)

test-long: $(VENV)/.dev ## run the long tests: browsers, crashes, shutdown, RabbitMQ, stock Celery, cut-off hosts, crowds, schemathesis, a little chaos
	$(BIN)/python -m pytest $(PYTEST_OPTIONS) -m long $(TESTS)

chaos: $(VENV)/.dev ## kill and freeze everything while jobs run: make chaos [SEED=1] [JOBS=10000] [SECONDS=240] [GAPS=1] [WITHOUT=lease]
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS)) \
	  $(if $(SECONDS),--seconds $(SECONDS)) $(if $(GAPS),--gaps $(GAPS)) $(if $(WITHOUT),--without $(WITHOUT))

lint: $(VENV)/.dev ## check style, types, who imports whom, and what is in deploy/
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint --failure-threshold info deploy/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(BIN)/kubernetes-validate --strict --quiet deploy/kubernetes/secret.example.yaml \
	  $(filter-out %/kustomization.yaml,$(wildcard deploy/kubernetes/app/*.yaml deploy/kubernetes/migrate/*.yaml))
	$(BIN)/check-jsonschema --schemafile deploy/kubernetes/keda.schema.json \
	  $(filter-out %/kustomization.yaml,$(wildcard deploy/kubernetes/scaling/*.yaml))
	deploy/systemd/verify.sh $(BIN)

format: $(VENV)/.dev ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev ## build the manual as a site, in var/site; every warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.dev ## measure everything, beside what others take instead, in some 20 minutes on a quiet machine
	$(BIN)/python -m bench.rates --full --json var/bench/rates.json
	$(BIN)/python -m bench.onboarding
	$(BIN)/python -m bench.matching

bench-quick: $(VENV)/.dev ## rates beside the pattern of Flask's documentation, in a minute or two
	$(BIN)/python -m bench.rates --quick

bench-results: $(VENV)/.dev ## measure all rates and write bench/RESULTS.md
	$(BIN)/python -m bench.rates --full --json var/bench/rates.json --write bench/RESULTS.md

bench-profiles: $(VENV)/.dev ## where the time goes, by py-spy, into bench/PROFILES.md
	$(BIN)/python -m bench.profiles --write bench/PROFILES.md

bench-growth: $(VENV)/.dev ## what each operation costs with ten, and with a million jobs: a quarter of an hour
	$(BIN)/python -m bench.growth

bench-batches: $(VENV)/.dev ## what a job of a batch costs, and a batch the API process
	$(BIN)/python -m bench.batches

bench-waiting: $(VENV)/.dev ## how soon 2,000 held clients have their answers, and what holding them costs
	$(BIN)/python -m bench.waiting --mode poll
	$(BIN)/python -m bench.waiting --mode events

bench-reconciling: $(VENV)/.dev ## what the reconciler and a queued job cost, with a million jobs queued
	$(BIN)/python -m bench.reconciling

bench-matching: $(VENV)/.dev ## match the Abt-Buy catalogues through the API: make bench-matching DATA=folder
	$(BIN)/python -m bench.matching.through_api --data $(DATA)

clean: ## remove the virtual environment and the development data
	rm -rf $(VENV) var

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, and $(PYTHON) is older: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "$(PYTHON) cannot make virtual environments: on Debian and Ubuntu, apt install python3-venv"; exit 1; }

$(VENV)/.runtime: $(VENV)/bin/python requirements.txt requirements-fast.txt constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-fast.txt >$(VENV)/fast.log 2>&1 || \
	  echo "No C compiler that builds gunicorn's fast parser (see $(VENV)/fast.log): gunicorn takes its own, which works too"
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt requirements-eventlet.txt requirements-otel.txt requirements-s3.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
