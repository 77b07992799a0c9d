# make install          what it takes to run: .venv
# make demo [CYCLES=3]  the whole product against a simulated house
# make test             lint, types and tests
# make fuzz [SECONDS=600]  property tests with random seeds, repeated for this long
# make benchmark        the control law against others, DAYS=folder with days as CSV
# make benchmark-year PRICES=file  a year of a car's energy by ways of charging (10 min)
# make benchmark-adversarial [ONLY=NAME]  the control law on awkward plants
# make soak [HOURS=24] [INTERVAL=30] [SEED=1]  a simulated day under random faults
# make audit            known vulnerabilities of the pinned packages
# make faults           what each fault does at each moment of a cycle, as a table (25 min)
# make benchmark-plants [DAY=variable]  a day of each kind of plant over Modbus
# make benchmark-cycle [CYCLES=100] [INTERVAL=10]  what a cycle costs
# make benchmark-stream [HOURS=24]  calls and delays with and without push, a day of stream faults
# make screenshots      pictures of the UI for the README
# make benchmark-footprint [MINUTES=1]  CPU, memory, writing and requests per minute (5 min)
# make benchmark-fleet [SITES=200] [INTERVAL=30] [WORKERS=1] [GROUP=1] [MINUTES=5]  many homes
# make two-machines     two workers share sites: one is killed, one is cut off (10 min, root)
# make several-servers  two API servers, Redis and background services die in turn (12 min)
# make benchmark-retention  what stays in Prefect's database after 20,000 cycles
# make container [CYCLES=3] [INTERVAL=30]  the image, built without a registry, runs against a simulated house
# make power-cuts [KILLS=50]  what is left after everything is killed at random moments
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test unit fuzz lint audit soak faults screenshots clean benchmark \
	benchmark-year benchmark-adversarial benchmark-plants benchmark-cycle benchmark-footprint \
	benchmark-retention benchmark-stream benchmark-fleet two-machines several-servers \
	power-cuts container

install: .venv/installed

demo: .venv/installed
	$(BIN)/easee-balancer demo $(if $(CYCLES),--cycles $(CYCLES))

# Lint beside the tests; these four at a time, also on two cores: most of them wait for processes.
# A file stays together, its server is shared.
test: .venv/installed-dev
	$(MAKE) --jobs 2 lint unit

unit: .venv/installed-dev
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder

# Each round is a new random search; a failure stops it and prints the example.
SECONDS ?= 600
fuzz: .venv/installed-dev
	end=$$(( $$(date +%s) + $(SECONDS) )); while [ $$(date +%s) -lt $$end ]; do \
		HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest -q -m hypothesis || exit 1; done

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m easee_load_balancer.commands.settings_page --check

benchmark: .venv/installed
	$(BIN)/python -m tests.benchmarks.control $(DAYS)

benchmark-adversarial: .venv/installed
	$(BIN)/python -m tests.benchmarks.adversarial $(if $(ONLY),--only "$(ONLY)")

benchmark-year: .venv/installed
	$(BIN)/python -m tests.benchmarks.year $(PRICES)

benchmark-plants: .venv/installed-dev
	$(BIN)/python -m tests.benchmarks.plants $(DAY)

benchmark-cycle: .venv/installed-dev
	$(BIN)/python -m tests.benchmarks.cycle $(if $(CYCLES),--cycles $(CYCLES)) \
		$(if $(INTERVAL),--interval $(INTERVAL))

faults: .venv/installed-dev
	PYTHONPATH=.:flows $(BIN)/python -m tests.faults

soak: .venv/installed-dev
	$(BIN)/python -m tests.benchmarks.soak $(if $(HOURS),--hours $(HOURS)) \
		$(if $(INTERVAL),--interval $(INTERVAL)) $(if $(SEED),--seed $(SEED))

# Error 1 is vulnerable, error 3 not audited: the advisories' service cannot be reached.
audit:
	rm -rf .audit && $(PYTHON) -m venv .audit
	.audit/bin/pip install --quiet pip-audit || { echo "Not audited: no pip-audit"; exit 3; }
	$(PYTHON) -m tests.audit .audit/bin/pip-audit
	rm -rf .audit

benchmark-footprint: .venv/installed-dev
	$(BIN)/python -m tests.benchmarks.footprint $(if $(MINUTES),--minutes $(MINUTES))

benchmark-fleet: .venv/installed-dev
	$(BIN)/python -m tests.benchmarks.fleet $(if $(SITES),--sites $(SITES)) \
		$(if $(INTERVAL),--interval $(INTERVAL)) $(if $(WORKERS),--workers $(WORKERS)) \
		$(if $(GROUP),--group $(GROUP)) $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(DATABASE),--database $(DATABASE))

# Needs iproute2, iptables, PostgreSQL, and root.
two-machines: .venv/installed-dev
	$(BIN)/python -m tests.benchmarks.two_machines

# Needs PostgreSQL and Redis.
several-servers: .venv/installed-dev .venv/installed-fleet
	$(BIN)/python -m tests.benchmarks.several_servers

benchmark-retention: .venv/installed
	$(BIN)/python -m tests.benchmarks.retention

power-cuts: .venv/installed-dev
	$(BIN)/python -m tests.benchmarks.power_cuts $(if $(KILLS),--kills $(KILLS))

benchmark-stream: .venv/installed-dev
	$(BIN)/python -m tests.benchmarks.stream $(if $(HOURS),--hours $(HOURS))

# Needs Debian's buildah and debootstrap, and root.
container:
	CYCLES=$(CYCLES) INTERVAL=$(INTERVAL) tests/container/prove.sh

# Needs Debian's chromium and chromium-driver.
screenshots: .venv/installed-dev
	$(BIN)/python -m tests.screenshots

clean:
	rm -rf .venv .demo .faults

.venv/installed: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(BIN)/pip install --quiet --requirement requirements-dev.txt
	touch $@

.venv/installed-fleet: .venv/installed requirements-fleet.txt
	$(BIN)/pip install --quiet --requirement requirements-fleet.txt
	touch $@

# After a change of the bounds in pyproject.toml: resolve again and pin everything.
.PHONY: pins
pins:
	rm -rf .pins && $(PYTHON) -m venv .pins
	.pins/bin/pip install --quiet "setuptools>=77" . && rm -rf build *.egg-info
	.pins/bin/pip freeze --all --exclude pip --exclude easee-load-balancer > requirements.txt
	.pins/bin/pip install --quiet ".[dev]" && rm -rf build *.egg-info
	.pins/bin/pip freeze --all --exclude pip --exclude easee-load-balancer \
		| grep -vxFf requirements.txt > .pins/dev
	(echo "-r requirements.txt"; cat .pins/dev) > requirements-dev.txt
	.pins/bin/pip install --quiet ".[fleet]" && rm -rf build *.egg-info
	.pins/bin/pip freeze --all --exclude pip --exclude easee-load-balancer \
		| grep -vxFf requirements.txt | grep -vxFf .pins/dev > .pins/fleet
	(echo "-r requirements.txt"; cat .pins/fleet) > requirements-fleet.txt
	rm -rf .pins
