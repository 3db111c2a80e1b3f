# A facade without logic: each verb is one line of what it does.
# It needs Python >= 3.11 and make; everything else goes into .venv in this folder.

PYTHON ?= python3
DATA ?=
PORT ?=
PHOTOS ?=
ONCE ?=
GPU ?=

BIN := .venv/bin
MEMBERS := $(wildcard libs/* services/*) standalone cli
EDITABLE := $(foreach member,$(MEMBERS),--editable ./$(member))
GALLERY := $(BIN)/gallery $(if $(DATA),--data "$(DATA)")
COMPOSE := docker compose --file docker-compose.yml $(if $(GPU),--file docker-compose.gpu.yml)
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps

# Trust what the machine trusts: behind a company's proxy the certificates are its own.
export UV_SYSTEM_CERTS := 1

.DEFAULT_GOAL := help
.PHONY: help run setup up down up-native test test-engines check format lock proto openapi bench soak

help: ## say what each verb does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

run: setup ## serve the gallery; PHOTOS=dir imports first, ONCE=1 stops after it, DATA=dir and PORT=n choose where
	$(GALLERY) up $(if $(PORT),--port $(PORT)) $(if $(PHOTOS),--import "$(PHOTOS)") $(if $(ONCE),--once)

setup: .venv/run.done ## make the environment in .venv

.venv/bootstrap.done: requirements/bootstrap.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/bootstrap.txt
	@touch $@

.venv/run.done: .venv/bootstrap.done requirements/run.txt $(wildcard */pyproject.toml */*/pyproject.toml)
	$(INSTALL) --require-hashes --requirement requirements/run.txt
	$(INSTALL) --no-build-isolation $(EDITABLE)
	@touch $@

.venv/test.done: .venv/run.done requirements/test.txt
	$(INSTALL) --require-hashes --requirement requirements/test.txt
	@touch $@

test: .venv/test.done ## run every test that needs no outside server
	$(BIN)/pytest

up: ## the distributed profile in containers, on PORT or 8420; GPU=1 with an NVIDIA GPU
	$(PYTHON) deploy/docker/make_secrets.py
	$(if $(PORT),PORT=$(PORT)) $(COMPOSE) up --detach --build --wait

down: ## stop the containers; what they keep stays
	$(COMPOSE) down

up-native: .venv/test.done ## run the distributed profile on this machine, real engines and every role a process
	PYTHONPATH=tests $(BIN)/python -m support.distributed

test-engines: .venv/test.done ## fetch real Kafka, S3 and Elasticsearch, and run what needs them
	$(BIN)/pytest -m engine

check: .venv/test.done ## style, types, layers, contracts, and drift of everything generated
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy libs services standalone cli
	$(BIN)/mypy tests bench
	$(BIN)/lint-imports --no-cache
	cd proto && PATH="$(CURDIR)/$(BIN):$$PATH" buf lint
	cd proto && PATH="$(CURDIR)/$(BIN):$$PATH" buf breaking --against released.binpb
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python proto/generate.py --check
	$(BIN)/python -m gallery.gateway.openapi --check docs/openapi.json
	$(BIN)/python bench/capacity_doc.py --check docs/capacity.md
	$(BIN)/python requirements/lock.py --check

format: .venv/test.done ## put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: .venv/bootstrap.done ## resolve the requirements anew, keeping the pins
	$(BIN)/python requirements/lock.py

proto: .venv/test.done ## generate code from the contracts
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python proto/generate.py

openapi: .venv/test.done ## write docs/openapi.json from the gateway
	$(BIN)/python -m gallery.gateway.openapi docs/openapi.json

bench: .venv/test.done ## measure, each figure beside a peer or limit of the same run
	$(BIN)/python bench/pipeline.py
	$(BIN)/python bench/profiles.py
	$(BIN)/python bench/events.py
	$(BIN)/python bench/footprint.py
	$(BIN)/python bench/grouping.py
	$(BIN)/python bench/simulation_check.py

soak: .venv/test.done ## long runs that every day has no time for
	$(BIN)/python bench/lfw.py
	$(BIN)/python bench/disturbed.py
	GALLERY_TEST_KILLS=40 $(BIN)/pytest tests/journey/test_kills.py -s
	GALLERY_TEST_OUTBOX_EVENTS=100000 $(BIN)/pytest tests/unit/runtime/test_outbox.py
	GALLERY_TEST_FAULTS=300 GALLERY_TEST_FAULTS_PHOTOS=20000 $(BIN)/pytest -m engine tests/journey/test_faults.py -s
