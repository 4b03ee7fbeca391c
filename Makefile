# Everything a person or a CI job calls; `make` alone lists it.
VENV := .venv
BIN := $(VENV)/bin
ROOT ?= .edge
KEEP ?=
ENGINE ?= docker
# Without these variables, a make that a test starts does not think that it belongs to this make.
CLEAN := env -u MAKEFLAGS -u MFLAGS
PYTEST := $(CLEAN) $(BIN)/pytest
# Measures coverage in pytest's own process; the required minimum is in pyproject.toml.
MEASURED := $(CLEAN) $(BIN)/coverage run -m pytest
# The first simulates a disk with millions of calls, which coverage would slow down five times. The second raises
# exceptions in other threads, which does not end under the trace function of coverage on Python 3.11.
UNMEASURED := tests/unit/results/test_crash_points.py tests/unit/worker/executor/test_body.py
# Unit tests make a hundred thousand small files, so these are in memory. The files of other tests are on a real disk.
MEMORY := $(shell test "$$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 1000000 2>/dev/null && echo TMPDIR=/dev/shm)
# As root, CI also boots a machine at the same time, which takes a quarter of an hour and leaves a core idle half of the time.
BOOTS := $(and $(CI),$(filter 0,$(shell id -u)))

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install missing Debian packages, and .venv from the lock; does nothing if all is installed
	@.ci/setup

setup-dev:
	@.ci/setup dev

setup-test: ## install also the tools for lint and tests; CONTRIBUTING.md begins with this
	@.ci/setup test

demo: ## set up, run the whole stack, solve one sum over HTTP, stop (KEEP=1 leaves it running)
	@start=$$(date +%s.%N); .ci/setup && exec $(BIN)/python -m edge.up.demo --root $(ROOT) --since $$start $(if $(filter-out 0,$(KEEP)),--keep)

demo-stop: ## stop the stack that `make demo KEEP=1` left running
	@$(BIN)/edge up --root $(ROOT) --stop

up: setup ## run broker, gateway, governor and worker in the foreground
	@exec $(BIN)/edge up --root $(ROOT)

test: setup-test ## lint, types, unit and integration tests against a real private broker; as root with CI=true also test-deploy
	@$(if $(BOOTS),.ci/setup-deploy)
	@rm -rf .coverage.d && mkdir .coverage.d
	@$(MAKE) --no-print-directory --jobs --output-sync=line $(if $(BOOTS),test-deploy) test-units test-integration
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

# These two run at the same time, each with separate brokers, and take about the same time.
test-units: lint docs
	$(MEMORY) $(MEASURED) tests/unit $(UNMEASURED:%=--ignore=%) -o tmp_path_retention_policy=failed
	$(MEMORY) $(PYTEST) $(UNMEASURED) -o tmp_path_retention_policy=failed
	$(PYTEST) tests/powercut
	$(PYTEST) tests/integration/test_up_*.py
	$(if $(BOOTS),,$(PYTEST) tests/deploy/test_static.py)

test-integration:
	$(MEASURED) tests/integration --ignore-glob='*/test_up_*'

test-deploy: setup-dev ## boot a bare Debian (SUITE=trixie: 13), deploy to it over ssh, then break it (root; minutes)
	@.ci/setup-deploy
	$(PYTEST) -x tests/deploy --ignore=tests/deploy/test_arm64.py --ignore=tests/deploy/test_vm.py --ignore=tests/deploy/test_cuts.py

test-deploy-cuts: setup-dev ## cut a board's power at 18 places of a deployment, and deploy again each time (root; a quarter of an hour)
	@.ci/setup-deploy
	$(PYTEST) -x tests/deploy/test_cuts.py

test-arm64: setup-dev ## boot a bare Debian 13 for arm64 in QEMU, deploy to it, kill it under load (root; an hour, or half if its card was kept)
	@.ci/setup-deploy arm64
	$(PYTEST) -x tests/deploy/test_arm64.py

test-vm: setup-dev ## boot a bare Debian (SUITE=trixie: 13) in a virtual machine, deploy to it, check limits on a real cgroup 2 (root; an hour without KVM)
	@.ci/setup-deploy vm
	$(PYTEST) -x tests/deploy/test_vm.py

image: ## build the container image for arm64 (EXTRAS=device: without ChatterBot, TARGET=up: with a broker, ENGINE=podman)
	$(ENGINE) build $(if $(filter docker,$(ENGINE)),,--format docker) --platform $(or $(PLATFORM),linux/arm64) --file Dockerfile.arm64 \
		$(foreach one,BASE BUILD_BASE EXTRAS,$(if $($(one)),--build-arg $(one)="$($(one))")) \
		--target $(or $(TARGET),edge) --tag edge-worker$(if $(filter up,$(TARGET)),:up) $(OPTIONS) .

lint: setup-dev ## ruff, mypy (strict), the import contract, shellcheck and yamllint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	git ls-files | xargs awk 'FNR == 1 && /^#!.*[\/ ](ba)?sh$$/ { print FILENAME }' | xargs $(BIN)/shellcheck
	$(BIN)/yamllint --strict .

docs: setup-dev ## build the documentation into build/docs; a warning is an error
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env --doctree-dir build/doctrees docs build/docs
	$(BIN)/python -m tests.docs.site build/docs

reference: setup-dev ## write the pages of docs/reference that are made from the code
	$(BIN)/python -m tests.docs

screenshot: setup-test ## take the picture of the page in README.md, with a simulated battery
	$(BIN)/python -m tests.docs.screenshot

format: setup-dev ## let ruff fix and format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

powercut: setup-test ## cut the power of the whole stack CUTS=1000 times (as root; SEED= replays, MINUTES= bounds)
	$(BIN)/python -m tests.powercut --cuts $(or $(CUTS),1000) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

faults: setup-dev ## inject FAULTS=300 faults under load: kill and stop processes, break the network, fill the disk, make it fail (as root)
	$(BIN)/python -m tests.powercut --faults $(or $(FAULTS),300) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

sums: setup-dev ## give the kind solve CASES=100000 random sums, and the same number of typing errors and nonsense (an hour)
	EDGE_SOLVE_CASES=$(or $(CASES),100000) $(PYTEST) --timeout 0 -p no:cacheprovider tests/unit/tasks/test_solve_properties.py

powercut-scaling: setup-test ## cut the power CUTS=100 times while a worker retires under load (as root; SEED= replays)
	$(BIN)/python -m tests.powercut --scaling --cuts $(or $(CUTS),100) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

powercut-files: setup-test ## cut the power CUTS=200 times while files are uploaded (as root; SEED= replays)
	$(BIN)/python -m tests.powercut --files --cuts $(or $(CUTS),200) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

powercut-selftest: setup-test ## check that the rig finds seeded bugs, each in at most CUTS=200 cuts (as root)
	$(BIN)/python -m tests.powercut --selftest --cuts $(or $(CUTS),200) $(if $(SEED),--seed $(SEED)) $(if $(BUG),--bug $(BUG))

powercut-graph: setup-test ## cut the power CUTS=50 times of a board that runs a graph of JOBS=1000 jobs after one another (as root; SEED= replays)
	$(BIN)/python -m tests.powercut --graph $(or $(JOBS),1000) --cuts $(or $(CUTS),50) $(if $(SEED),--seed $(SEED))

later: setup-dev ## measure what JOBS=100000 waiting jobs cost an idle gateway, and how many start before one of priority 9
	$(BIN)/python -m tests.bench.later --jobs $(or $(JOBS),100000)

recovery: setup-dev ## measure the time from power-on to the first accepted and the first finished job, with WAITING="0 10000 100000" jobs (as root)
	$(BIN)/python -m tests.powercut --recovery $(if $(WAITING),--waiting $(WAITING))

flash: setup-test ## measure how much a job makes a card write, by component (as root; QUICK=1)
	$(BIN)/python -m tests.powercut --flash $(if $(filter-out 0,$(QUICK)),--quick)

bench: setup-dev ## compare the appliance with plain and durable Celery, and as root measure writes to a card (QUICK=1: 150 s; ONLY="idle pause")
	@[ "$$(id -u)" != 0 ] || .ci/setup test || echo 'bench: the programs for its flash part cannot be installed; the rest is measured' >&2
	$(BIN)/python -m tests.bench --json bench.json $(if $(filter-out 0,$(QUICK)),--quick) $(if $(ONLY),--only $(ONLY))

simulate-scale: setup-dev ## compare the rule that scales workers with two others, and simulate 1 to 1,000 boards (SEED=1, BOARDS="1 10 100 1000")
	$(BIN)/python -m tests.scale $(if $(SEED),--seed $(SEED)) $(foreach one,$(BOARDS),--boards $(one))

scale-downs: setup-dev ## retire workers COUNT=1000 times under load, and check that no body is interrupted (SEED=1, MINUTES= bounds)
	$(BIN)/python -m tests.scale.downs --count $(or $(COUNT),1000) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

simulate: setup-dev ## simulate a year of a solar board, and compare with simple rules (PLACE=48.1|greensboro|FILE PANEL=20 BATTERY=37 JOBS=60 MINUTES=10 SEED=1; AIMS=1; more: OPTIONS=--help)
	@$(BIN)/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("pvlib") is None)' || $(BIN)/python -m pip install --quiet --no-deps 'pvlib>=0.11'
	$(BIN)/python -m tests.sun $(foreach one,PLACE PANEL BATTERY JOBS MINUTES SEED,$(if $($(one)),--$(shell echo $(one) | tr A-Z a-z) $($(one)))) $(if $(filter-out 0,$(AIMS)),--aims) $(OPTIONS)

schedule-times: setup-dev ## compare next times with a search by minutes in every zone, ten years from YEAR=2011 (EXPRESSIONS=200, SEED=1; half an hour)
	$(BIN)/python -m tests.schedules --seed $(or $(SEED),1) --expressions $(or $(EXPRESSIONS),200) --year $(or $(YEAR),2011)

schedule-cuts: setup-test ## cut the power of a board with 50 schedules whose clock jumps, CUTS=200 times (as root; SEED=1)
	$(BIN)/python -m tests.schedules.cuts --cuts $(or $(CUTS),200) --seed $(or $(SEED),1)

windows: setup-dev ## let power fall at random while a worker's window is full, SEQUENCES=1000 times without a broker and 1000 times with one
	EDGE_WINDOW_SEQUENCES=$(or $(SEQUENCES),1000) $(if $(SEED),EDGE_WINDOW_SEED=$(SEED)) $(MEMORY) $(PYTEST) tests/unit/worker/intake/test_full_window.py
	EDGE_WINDOWS=$(or $(SEQUENCES),1000) $(if $(SEED),EDGE_WINDOW_SEED=$(SEED)) $(PYTEST) tests/integration/test_worker_power.py -k full_window

mqtt-restarts: setup-test ## restart MQTT broker, gateway and a listener that plays Home Assistant, RESTARTS=100 times each (SEED= replays)
	$(BIN)/python -m tests.homeassistant $(if $(RESTARTS),--restarts $(RESTARTS)) $(if $(SEED),--seed $(SEED))

lock: setup ## add new requirements of pyproject.toml to requirements.lock (UPGRADE=1: resolve all versions again)
	.ci/lock $(if $(UPGRADE),--upgrade)

clean: ## remove caches, builds and the environment; the state under .edge stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage.d *.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
