# Everything that is done with this repository. Needs Rust (rust-toolchain.toml names the version), make and a C compiler.

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
FUNCTION := $(TARGET)/release/hubkeeper
FLOOR := $(TARGET)/release/hubkeeper-floor
TOOLS := $(TARGET)/tools
PACKAGE := $(TARGET)/lambda/hubkeeper.zip
# What the tests wrote down, for `make conformance`. Where HUBKEEPER_RECORD names a folder, that is taken as it is.
RECORD := $(or $(HUBKEEPER_RECORD),$(TARGET)/record)
# An event file for `make demo`, such as events/onboard.json.
EVENT ?=

.PHONY: help demo test check build bench-init bench-depth bench-fleet package conformance clean function floor record tools
.DEFAULT_GOAL := help

help: ## Say what each target does
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: function tools ## Run the whole life of a token against the sandbox and explain it; EVENT=events/onboard.json sends that event alone
	@$(TOOLS)/demo $(FUNCTION) $(EVENT)

test: ## Run every test
	$(CARGO) test --workspace --locked

check: ## Check format, lints and documentation (warnings are errors), then run every test
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked
	$(MAKE) test

build: function ## Build the function as it is deployed (target/release/hubkeeper)

package: function tools ## Make the Lambda package target/lambda/hubkeeper.zip; fails above 4.0 MB
	@$(TOOLS)/package $(FUNCTION) $(PACKAGE)

conformance: package $(if $(HUBKEEPER_RECORD),,record) ## Hold sandbox and function against the services' own tools and documents; the last line is `N passed, N failed`
	@tests/conformance/run.sh $(PACKAGE) $(TOOLS)/serve_sandbox $(RECORD)

bench-init: function floor tools ## Measure start-up against an empty handler; the last line is the ratio, fails above 2.0
	@$(TOOLS)/bench_init $(FUNCTION) $(FLOOR)

bench-depth: function tools ## Measure how many answers setSecret waits for in a row, requests and memory; fails above the limits
	@$(TOOLS)/bench_depth $(FUNCTION)

bench-fleet: function tools ## Measure a reconcile of 300 organizations in one invocation: time, requests, memory; fails above 40 MiB
	@$(TOOLS)/bench_fleet $(FUNCTION)

clean: ## Remove everything that was built
	$(CARGO) clean

function:
	$(CARGO) build --release --locked -p hubkeeper

floor:
	$(CARGO) build --release --locked -p hubkeeper-floor

tools:
	$(CARGO) build --locked -p hubkeeper-sandbox --bins --profile tools

record: function tools
	@rm -rf $(RECORD)
	HUBKEEPER_RECORD=$(abspath $(RECORD)) $(CARGO) test --locked -p hubkeeper --test it
	@HUBKEEPER_RECORD=$(abspath $(RECORD)) $(TOOLS)/demo $(FUNCTION) >/dev/null
