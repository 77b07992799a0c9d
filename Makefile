# make demo [CYCLES=3]  the whole product against a simulated house
# make test             lint, types and tests
# make benchmark        the control law against others, DAYS=folder with days as CSV
# make benchmark-cycle [CYCLES=100] [INTERVAL=10]  what a cycle costs
# make faults           what each fault does at each moment of a cycle, as a table (20 min)
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint benchmark benchmark-cycle faults clean

demo: .venv/installed
	$(BIN)/easee-balancer demo $(if $(CYCLES),--cycles $(CYCLES))

test: lint
	$(BIN)/pytest

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark: .venv/installed
	$(BIN)/python tests/benchmarks/control.py $(DAYS)

benchmark-cycle: .venv/installed
	$(BIN)/python -m tests.benchmarks.cycle $(if $(CYCLES),--cycles $(CYCLES)) \
		$(if $(INTERVAL),--interval $(INTERVAL))

faults: .venv/installed-dev
	PYTHONPATH=.:flows $(BIN)/python -m tests.faults

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

# After a change of the bounds in pyproject.toml: resolve anew, pin everything.
.PHONY: pins
pins:
	rm -rf .pins && $(PYTHON) -m venv .pins
	.pins/bin/pip install --quiet "setuptools>=77" . && rm -rf build *.egg-info
	.pins/bin/pip freeze --all --exclude pip --exclude easee-load-balancer > requirements.txt
	.pins/bin/pip install --quiet ".[dev]" && rm -rf build *.egg-info
	.pins/bin/pip freeze --all --exclude pip --exclude easee-load-balancer \
		| grep -vxFf requirements.txt > .pins/dev
	(echo "-r requirements.txt"; cat .pins/dev) > requirements-dev.txt
	rm -rf .pins
