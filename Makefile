# Everything that is done with this repository. Needs Rust (rust-toolchain.toml names the version), make and a C compiler.

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
# As it is deployed and measured: optimised as a whole, which takes minutes.
FUNCTION := $(TARGET)/release/bootstrap
FLOOR := $(TARGET)/release/hubkeeper-floor
PACKAGE := $(TARGET)/lambda/hubkeeper.zip
# As it is tried and tested: function and tools in the profile of the tests, so that no crate is built twice.
TOOLS := $(TARGET)/debug
QUICK_FUNCTION := $(TOOLS)/bootstrap
QUICK_PACKAGE := $(TARGET)/lambda/quick.zip
# Tools from crates.io for `make fuzz`, `make audit` and `make mutants`: installed where they are not yet, each in its version.
INSTALLED := $(TARGET)/tools-bin
CARGO_FUZZ := cargo-fuzz-0.13.2
CARGO_DENY := cargo-deny-0.20.2
CARGO_CYCLONEDX := cargo-cyclonedx-0.5.9
CARGO_MUTANTS := cargo-mutants-27.1.0
export PATH := $(abspath $(INSTALLED))/bin:$(PATH)
# What the tests wrote down, for `make conformance`. Where HUBKEEPER_RECORD names a folder, that is taken as it is.
RECORD := $(or $(HUBKEEPER_RECORD),$(TARGET)/record)
# For what is not to be written down.
APART := env -u HUBKEEPER_RECORD
# The virtual environments of tests and linters.
export HUBKEEPER_VENVS ?= $(abspath $(TARGET))/venvs
# How long `make chaos` runs, and `make fuzz` each of its targets.
SECONDS ?=
# One run of `make chaos` again.
SEED ?=
RUN ?=
# The planted faults of `make oracles` whose name contains one of these words.
ONLY ?=
# An event file for `make demo`, such as events/onboard.json.
EVENT ?=

.PHONY: help demo test e2e setup lint-infra test-infra chaos oracles conformance check build bench-init bench-depth bench-fleet package fuzz corpus pictures audit mutants deploy deploy-azure onboard logs destroy clean function record tools
.DEFAULT_GOAL := help

help: ## Say what each target does
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Run the whole life of a token against the sandbox and explain it; EVENT=events/onboard.json sends that event alone
	@crates/sandbox/before-demo.sh $(TOOLS) $(if $(EVENT),"$(EVENT)")
	@$(MAKE) --no-print-directory tools
	@$(TOOLS)/demo $(QUICK_FUNCTION) $(if $(EVENT),"$(EVENT)")

# The quick ones first. Each test target has its line here (tests/functional/makefile.rs): they differ in what they take from the environment.
test: ## Run every test, the quick ones first; the last line is that of the end-to-end tests. tests/README.md says what is where
	$(CARGO) test --workspace --locked --no-run
	$(APART) $(CARGO) test --workspace --locked --lib --bins --test properties --test corpora --test serve_sandbox
	$(APART) $(CARGO) test --workspace --locked --doc
	$(CARGO) test -p hubkeeper --locked --test functional
	@$(MAKE) --no-print-directory test-infra
	$(APART) $(CARGO) test -p hubkeeper --locked --test simulation
	@$(MAKE) --no-print-directory e2e

e2e: tools ## Deploy a package into a local AWS emulator and drive it (needs python3; left out loudly without)
	@$(TOOLS)/package $(QUICK_FUNCTION) $(QUICK_PACKAGE) --quick
	@$(APART) tests/e2e/run.sh $(QUICK_PACKAGE) $(TOOLS)/serve_sandbox --quiet

setup: ## Install what tests need beside Rust, once: virtual environments below target, and Debian's docker-registry and skopeo
	@tests/e2e/run.sh --setup
	@tests/conformance/run.sh --setup
	@infra/lint/run.sh --setup

lint-infra: ## Lint the AWS template: cfn-lint, sam validate, checkov (needs python3)
	@infra/lint/run.sh

test-infra: ## Test the ARM template and the scripts of infra, without any cloud (needs python3)
	@infra/test.sh

check: ## Check format, lints and documentation (warnings are errors), then run every test
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked
	$(MAKE) test

chaos: ## Faults, acts of people and odd responses at once, at random, for SECONDS=600; SEED=… RUN=… replays one run. The sweep, one at a time, is in `make test`
	$(CARGO) test -p hubkeeper --locked --test simulation -- --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED)) $(if $(RUN),--run $(RUN))

oracles: ## Plant each fault of tests/simulation/planted into the function; fails if the simulation does not catch it; ONLY="14 17"
	@CARGO="$(CARGO)" tests/simulation/planted/run.sh $(ONLY)

build: function ## Build the function as it is deployed (target/release/bootstrap)

package: function tools ## Make the Lambda package target/lambda/hubkeeper.zip; fails above 3.6 MB
	@$(TOOLS)/package $(FUNCTION) $(PACKAGE)

conformance: package $(if $(HUBKEEPER_RECORD),,record) ## Hold sandbox and function against the services' own tools and documents; the last line is `N passed, N failed`
	@tests/conformance/run.sh $(PACKAGE) $(TOOLS)/serve_sandbox $(RECORD)

bench-init: function tools ## Measure start-up against an empty handler; the last line is the ratio, fails above 2.0
	@$(TOOLS)/bench init $(FUNCTION) $(FLOOR)

bench-depth: function tools ## Measure how many answers setSecret waits for in a row, requests and memory; fails above the limits
	@$(TOOLS)/bench depth $(FUNCTION)

bench-fleet: function tools ## Measure a reconcile of 300 organizations in one invocation: time, requests, memory; fails above 40 MiB
	@$(TOOLS)/bench fleet $(FUNCTION)

fuzz: $(INSTALLED)/$(CARGO_FUZZ) ## Run every fuzz target for SECONDS=60 and print how many inputs each was given; fails where one breaks a property
	@fuzz/run.sh $(or $(SECONDS),60) $(TARGET)/fuzz

corpus: ## Write the corpora of the fuzz targets anew, from events/ and from what the sandbox answers
	$(CARGO) test -p hubkeeper --locked --test functional corpus -- --ignored

pictures: ## Draw the README's pictures anew (docs/pictures), from the demo and from a rotation
	$(APART) HUBKEEPER_RENEW_PICTURES=1 $(CARGO) test -p hubkeeper --locked --test functional pictures

audit: $(INSTALLED)/$(CARGO_DENY) $(INSTALLED)/$(CARGO_CYCLONEDX) ## Check licences, sources, bans and advisories of every dependency; write target/sbom
	@infra/audit.sh $(TARGET)/sbom

mutants: $(INSTALLED)/$(CARGO_MUTANTS) ## Break the core in every small way and see that a test fails
	$(CARGO) mutants --package hubkeeper-core --output $(TARGET)
	$(CARGO) mutants --package hubkeeper --output $(TARGET)/pace

# The five below reach AWS and Azure. They need more tools, and take more settings: docs/deploy.md.

deploy-azure: ## Make the identity and the role in Azure: AZURE_RESOURCE_GROUP=rg-security
	@infra/azure/deploy.sh

deploy: ## Build the function and deploy the stack at AWS; parameters stand in samconfig.toml
	@infra/aws/deploy.sh

onboard: ## Show the plan for one organization, and run it: ORG=acme; MODE=plan shows it alone
	@infra/aws/onboard.sh

logs: ## Show the function's log; SINCE=1h, ORG=acme, FOLLOW=1
	@infra/aws/logs.sh

destroy: ## Delete the stack at AWS, after saying what that leaves; wants CONFIRM=<name of the stack>
	@infra/aws/destroy.sh

clean: ## Remove everything that was built
	$(CARGO) clean

# the empty handler needs no crate and no feature that the function has not: the function is the same as built alone
function:
	$(CARGO) build --release --locked -p hubkeeper -p hubkeeper-floor --bins

# `make target/tools-bin/cargo-deny-0.20.2` installs that version and leaves a mark of it
$(INSTALLED)/cargo-%:
	$(CARGO) install --locked --root $(INSTALLED) --target-dir $(INSTALLED)/build $(shell echo cargo-$* | sed 's/-\([0-9.]*\)$$/@\1/')
	@touch $@

tools:
	$(CARGO) build --locked -p hubkeeper -p hubkeeper-sandbox --bins

record: tools
	@rm -rf $(RECORD)
	HUBKEEPER_RECORD=$(abspath $(RECORD)) $(CARGO) test --locked -p hubkeeper --test functional
	@HUBKEEPER_RECORD=$(abspath $(RECORD)) $(TOOLS)/demo $(QUICK_FUNCTION) >/dev/null
