# The team's vocabulary. `make run` and `make test` need Python 3 and make, and bring everything else themselves.

UV := .bootstrap/bin/uv
# The installation is the rule .venv/.installed; nothing else asks a package index.
RUN := $(UV) run --no-sync
# Programs that are not the project's own, each in an environment of its own, of exactly what .ci/tools/NAME.txt names.
TOOLS := .bootstrap/tools
# SAM tells its maker of each use, unless it is told not to.
SAM := SAM_CLI_TELEMETRY=0 PATH="$(CURDIR)/.bootstrap/bin:$$PATH" $(TOOLS)/sam/bin/sam
CHECKOV := $(TOOLS)/checkov/bin/checkov
# Of all that is locked, what only asynchronous exchanges need, and boto3 for S3.
UNUSED := aiohttp aiohttp-fast-zlib aiosignal aiohappyeyeballs attrs coincurve frozenlist multidict propcache uvloop winloop yarl zlib-ng

# Where a proxy inspects TLS, an index is not believed until the machine's certificates are: then everything trusts them.
ifneq ($(wildcard .bootstrap/system-certs),)
export UV_SYSTEM_CERTS := 1
endif
fetch = $(1) 2>/dev/null || { UV_SYSTEM_CERTS=1 $(1) && touch .bootstrap/system-certs; }

# Every process that a test starts reads the bytecode of the last one, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

ARCHITECTURE ?= arm64
export ARCHITECTURE
# Of `make deploy`: the settings, which of them (default or production), and parameters of the template above theirs.
CONFIG ?= $(if $(wildcard samconfig.toml),samconfig.toml,infra/samconfig.toml)
CONFIG_ENV ?= default
PARAMETERS ?=

.DEFAULT_GOAL := help
.PHONY: help run paper test test-web lighthouse test-dynamodb test-peers test-sam test-deployed coverage lint audit format bench docs web openapi exchange-tables requirements sbom tools build deploy clean

help: ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

PORT ?= 8787
run: .venv/.installed dashboard-if-possible ## the whole product on this machine, a tick every two seconds; make run PORT=8790
	$(RUN) botbalance local --tick-seconds 2 --port $(PORT)

EXCHANGE ?= binance
paper: .venv/.installed dashboard-if-possible ## trade on paper at live public prices, without any account; make paper EXCHANGE=kraken
	$(RUN) botbalance local --paper $(EXCHANGE) --port $(PORT)

.PHONY: dashboard-if-possible
dashboard-if-possible: $(UV)
	@[ -f web/dist/index.html ] || $(MAKE) --no-print-directory web || \
		echo "The dashboard could not be built (is the npm registry within reach?). Everything else runs without it."

test: .venv/.installed ## all tests
	$(RUN) pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-dynamodb: .venv/.installed ## the store and the life of orders on the DynamoDB that BOTBALANCE_TEST_DYNAMODB names
	$(RUN) pytest --numprocesses 2 --dist loadfile -k "dynamodb-local or test_cloud" \
		tests/unit/store tests/integration/life_cycle tests/integration/reliability/test_cloud.py

test-peers: .venv/.installed ## other projects' clients of Binance, through the simulated exchange (needs the package index)
	$(RUN) pytest tests/peers -rs

test-sam: .venv/.installed $(TOOLS)/sam/.installed ## every function in the Lambda runtime (needs a Docker engine)
	ARCHITECTURE=x86_64 $(SAM) build --template infra/template.yaml --parameter-overrides Architecture=x86_64 \
		--build-dir .aws-sam/x86_64
	$(RUN) pytest tests/sam_local -rs

test-deployed: .venv/.installed $(TOOLS)/sam/.installed $(TOOLS)/aws/.installed ## the application deployed to an emulated AWS, updated and deleted; five minutes
	$(RUN) pytest tests/deployed -rs

coverage: .venv/.installed ## all tests, and which lines they reach; fails below the floor in pyproject.toml
	$(RUN) pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term

lint: .venv/.installed $(TOOLS)/sam/.installed $(TOOLS)/checkov/.installed ## style, types, the direction of imports, the template
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) cfn-lint infra/template.yaml infra/egress.yaml
	$(SAM) validate --lint --template infra/template.yaml
	$(CHECKOV) --config-file .checkov.yaml

audit: $(TOOLS)/audit/.installed ## what bandit and zizmor find, and known vulnerabilities of what is deployed
	$(TOOLS)/audit/bin/bandit -q -r layers/engine/python functions
	$(TOOLS)/audit/bin/bandit -q -c .bandit.yaml -r workbench
	$(TOOLS)/audit/bin/zizmor --offline .github/workflows
	@report=$$($(TOOLS)/audit/bin/pip-audit --disable-pip --require-hashes --progress-spinner off \
		--requirement layers/vendor/requirements.txt 2>&1) || { echo "$$report"; exit 1; }; \
	if echo "$$report" | grep -q "could not be audited"; then \
		echo "Known vulnerabilities were NOT looked up: no advisory source is within reach."; \
	else echo "$$report"; fi

format: .venv/.installed ## put the code into the one style
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

bench: .venv/.installed ## what performance claims rest on
	$(RUN) python benchmarks/engine.py
	$(RUN) python -m benchmarks.backtest

docs: .venv/.installed ## the documentation as a site, in site/; fails on a broken link
	@$(call fetch,$(UV) sync --locked --quiet --inexact --group docs)
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict --quiet

# The dashboard's tools run on a Node.js of their own, so that none has to be on the machine.
NODE := NODE_USE_SYSTEM_CA=1 PATH="$(CURDIR)/$(TOOLS)/node/bin:$$PATH"

web: web/dist/index.html ## the dashboard, built into web/dist (needs the npm registry)

web/node_modules/.installed: web/package-lock.json $(TOOLS)/node/.installed
	@echo "Bringing Node.js and the dashboard's packages into web/node_modules (this folder only) ..."
	@cd web && $(NODE) npm ci --no-audit --no-fund --silent
	@touch $@

test-web: .venv/.installed web/dist/index.html ## the dashboard: types, style, what computes, size, every page in Chromium
	@cd web && $(NODE) npm run --silent types >/dev/null && git diff --exit-code src/api/schema.d.ts
	@cd web && $(NODE) npm run --silent check && $(NODE) npm run --silent test && $(NODE) npm run --silent size
	@cd web && $(NODE) npm run --silent e2e

LIGHTHOUSE := web/tools/lighthouse
$(LIGHTHOUSE)/node_modules/.installed: $(LIGHTHOUSE)/package-lock.json $(TOOLS)/node/.installed
	@cd $(LIGHTHOUSE) && $(NODE) npm ci --no-audit --no-fund --silent
	@touch $@

lighthouse: .venv/.installed web/dist/index.html $(LIGHTHOUSE)/node_modules/.installed ## what Lighthouse says of every page
	@cd web && $(NODE) npm run --silent lighthouse

WEB_SOURCES := $(shell find web/src web/public web/index.html web/vite.config.ts web/package.json -type f 2>/dev/null)
web/dist/index.html: web/node_modules/.installed $(WEB_SOURCES)
	@echo "Building the dashboard ..."
	@cd web && $(NODE) npm run --silent build
	@touch $@

openapi: .venv/.installed ## write docs/openapi.json, from the code
	$(RUN) python -m openapi.document > docs/openapi.json

exchange-tables: .venv/.installed ## write the tables of docs/exchanges.md, from profiles and fixtures
	$(RUN) python -m tests.fixtures.documented

requirements: .venv/.installed ## write what the vendor layer is made of, from uv.lock
	$(UV) export --frozen --quiet --no-default-groups --no-emit-project --no-annotate --no-header $(UNUSED:%=--prune %) \
		--output-file layers/vendor/requirements.txt
	$(RUN) python -m botbalance.exchange.profiles > layers/vendor/exchanges.txt

SBOM ?= dist/sbom.json
sbom: $(UV) ## what the layers are made of, as CycloneDX, with hashes, in dist/sbom.json
	@mkdir -p $(dir $(SBOM))
	@$(UV) export --frozen --quiet --preview-features sbom-export --no-default-groups $(UNUSED:%=--prune %) \
		--format cyclonedx1.5 --output-file $(SBOM) >/dev/null && echo $(SBOM)

build: .venv/.installed $(TOOLS)/sam/.installed ## the SAM application, ready to deploy, for ARCHITECTURE=arm64 or x86_64
	@rm -rf infra/web_files/dist; if [ -f web/dist/index.html ]; then cp -R web/dist infra/web_files/dist; fi
	$(SAM) build --template infra/template.yaml --parameter-overrides Architecture=$(ARCHITECTURE)

deploy: build ## release it to your AWS account, PARAMETERS="AlarmEmail=you@example.com" above those of CONFIG
	@set -e; overrides=$$($(RUN) python -m workbench.aws.release --config $(CONFIG) --environment $(CONFIG_ENV) \
		Architecture=$(ARCHITECTURE) $(PARAMETERS)); \
	echo "sam deploy --parameter-overrides $$overrides"; \
	$(SAM) deploy --config-file "$(abspath $(CONFIG))" --config-env $(CONFIG_ENV) --parameter-overrides $$overrides

clean: ## forget everything that was brought
	rm -rf .bootstrap .venv

$(UV):
	@echo "Bringing uv, the package installer, into .bootstrap (this folder only) ..."
	@python3 -m venv .bootstrap
	@.bootstrap/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
		--requirement .ci/tools/uv.txt

$(TOOLS)/%/.installed: .ci/tools/%.txt $(UV)
	@echo "Bringing $* into .bootstrap/tools (this folder only) ..."
	@$(call fetch,$(UV) venv --quiet --clear --no-project --python 3.13 $(TOOLS)/$*)
	@$(call fetch,$(UV) pip install --quiet --no-config --python $(TOOLS)/$* --no-deps --require-hashes --requirement $<)
	@touch $@

tools: $(UV) ## write .ci/tools/*.txt, what those programs are made of, from .ci/tools/*.in
	for tool in .ci/tools/*.in; do $(UV) pip compile --quiet --upgrade --universal --python-version 3.13 \
		--generate-hashes --no-header --no-annotate $$tool --output-file $${tool%.in}.txt || exit 1; done

.venv/.installed: pyproject.toml uv.lock $(UV)
	@echo "Bringing Python 3.13 and the locked dependencies into .venv (this folder only) ..."
	@$(call fetch,$(UV) sync --locked --quiet --compile-bytecode)
	@touch $@
