# The team's vocabulary. `make run` and `make test` need Python 3 and make, and bring everything else themselves.

UV := .bootstrap/bin/uv
RUN := $(UV) run --frozen

.DEFAULT_GOAL := help
.PHONY: help run test lint format bench build clean

help: ## what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: .venv/.installed ## the whole product on this machine, a tick every two seconds
	$(RUN) botbalance local --tick-seconds 2

test: .venv/.installed ## all tests
	$(RUN) pytest --numprocesses 2 --dist loadfile

lint: .venv/.installed ## style, types, the direction of imports, the template
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) cfn-lint infra/template.yaml

format: .venv/.installed ## put the code into the one style
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

bench: .venv/.installed ## what performance claims rest on
	$(RUN) python benchmarks/engine.py

build: .venv/.installed ## the SAM application, ready to deploy (needs the SAM CLI)
	$(UV) export --frozen --quiet --no-default-groups --no-emit-project --output-file layers/vendor/requirements.txt
	PATH="$(CURDIR)/.bootstrap/bin:$$PATH" sam build --template infra/template.yaml

clean: ## forget everything that was brought
	rm -rf .bootstrap .venv

$(UV):
	@echo "Bringing uv, the package installer, into .bootstrap (this folder only) ..."
	@python3 -m venv .bootstrap
	@.bootstrap/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'

.venv/.installed: pyproject.toml uv.lock $(UV)
	@echo "Bringing Python 3.13 and the locked dependencies into .venv (this folder only) ..."
	@$(UV) sync --locked --quiet || $(UV) sync --locked --quiet --system-certs # behind a proxy that inspects TLS
	@touch $@
