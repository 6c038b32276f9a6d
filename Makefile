# Every target says what it does: `make help`. The two that matter first are `make demo` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help setup generate lint type unit check contract cluster clients conformance chaos sim looks market-stats test demo demo-down golden load bench-recovery bench-kill bench-gate bench clean
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest
export PYTHONDONTWRITEBYTECODE := 1

help: ## Show this list
	@awk -F':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ See it
demo: setup ## A cluster, the operator, a trading system, a kill switch: the whole story (CONTEXT=name uses that cluster)
	@$(PYTHON) -m demo up $(if $(CONTEXT),--context $(CONTEXT)) $(if $(IMAGE),--image $(IMAGE)) $(if $(STRATEGY_IMAGE),--strategy-image $(STRATEGY_IMAGE))

demo-down: setup ## Remove all that `make demo` made
	@$(PYTHON) -m demo down $(if $(CONTEXT),--context $(CONTEXT))

##@ Work on it
setup: .venv/.synced ## Create .venv from uv.lock
.venv/.synced: pyproject.toml uv.lock tools/bootstrap.sh
	@tools/bootstrap.sh

generate: setup ## Rewrite crds/, the chart's copy and manifests/install.yaml from the models
	@$(PYTHON) -m ringfence_operator.crdgen
	@$(PYTHON) tools/manifests.py

golden: setup ## Rewrite the expected objects of tests/golden (read the diff before you commit it)
	@$(PYTEST) -q tests/golden --rewrite-golden

lint: setup ## Format and lint
	@.venv/bin/ruff format --check --quiet . && .venv/bin/ruff check --quiet .

type: setup ## mypy --strict
	@MYPYPATH=tests/clients .venv/bin/mypy --no-error-summary -p ringfence -p ringfence_operator -p ringfence_cli -p localnode -p images -p demo -p rights -p gatebench -p chaos -p rolloutsim -p operatorbench -p marketstats -p load -p momentum -m manifests -m sources -m run -m common

unit: setup ## Unit, property, golden and architecture tests: no cluster, under a minute
	@$(PYTEST) -q -n 2 -m "not apiserver and not node and not e2e and not soak" tests/unit tests/property tests/golden tests/arch tests/sim

check: lint type unit ## The loop of every day: lint, types, unit, property, arch

##@ Prove it
contract: setup ## Contract tests: real sockets, the simulator, a real API server, Helm
	@$(PYTHON) -m localnode build --only control-plane,helm
	@$(PYTEST) -q -m "not node and not e2e and not soak" tests/contract tests/conformance tests/localnode

cluster: setup ## Whole systems on a real cluster of its own: a local node, or kind where Docker runs
	@$(PYTEST) -q -s -m "(node or e2e) and not soak" tests/localnode tests/e2e

clients: setup ## python-binance, binance-sdk-spot and ccxt, unmodified, against the simulator: a matrix of scenarios
	@$(PYTHON) tests/clients/run.py

conformance: setup ## Adapter, gate and journal against the simulator: every order type, filter, error, limit and lost answer
	@$(PYTEST) tests/conformance

sim: setup ## Rollouts with faults, in simulated time: RUNS=1000 seeds against the rules; SEED=n repeats one
	@$(PYTHON) -m rolloutsim $(if $(SEED),--seed $(SEED),--runs $(or $(RUNS),1000))

looks: setup ## How often a good candidate fails its statistics, at the three looks and while a stage waits; seeded
	@$(PYTHON) -m rolloutsim.looks

chaos: setup ## Exactly once: EPISODES=2000 of faults and kills, ledgers compared to the last digit; SEED=n repeats one
	@$(PYTHON) -m chaos $(if $(SEED),--seed $(SEED),--episodes $(or $(EPISODES),2000))

market-stats: setup ## How like the recorded market the generated one is, row by row; fails on a miss
	@$(PYTHON) -m marketstats

test: check contract cluster ## Everything but long soaks, from a fresh clone; installs what it needs

load: setup ## Orders a second through all processes, books compared: RATE=1000 SECONDS=10 STEADY=100 FOR=360
	@$(PYTHON) -m load --rate $(or $(RATE),1000) --seconds $(or $(SECONDS),10) --steady-rate $(or $(STEADY),100) --steady-seconds $(or $(FOR),360)

bench-recovery: setup ## A gate's start on the journal of an hour at 100 orders/s, whole and from its checkpoint
	@$(PYTHON) tests/bench/recovery.py

bench-kill: setup ## Patch-to-gate latency of the kill switch, PATCHES=100 each: operator up, cores busy, operator down
	@$(PYTHON) tests/bench/kill.py --patches $(or $(PATCHES),100)

.venv/peer/.installed: tests/bench/peer.txt | setup
	@.venv/bin/uv venv --quiet --clear --python $(PYTHON) .venv/peer
	@.venv/bin/uv pip install --quiet --python .venv/peer/bin/python -r tests/bench/peer.txt
	@touch $@

bench-gate: setup .venv/peer/.installed ## One pre-trade check: our gate, NautilusTrader's RiskEngine and a chain of rules, in one run
	@$(PYTHON) tests/bench/gate.py --peer .venv/peer/bin/python

clean: ## Remove caches and .venv (not the cluster: make demo-down)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
