# All commands of this repository. They need Rust (rust-toolchain.toml names the version), make and a C compiler.

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
# The deployed and measured build: link-time optimisation, which takes minutes.
FUNCTION := $(TARGET)/release/bootstrap
FLOOR := $(TARGET)/release/hubkeeper-floor
PACKAGE := $(TARGET)/lambda/hubkeeper.zip
# The build for tests and demo: function and tools in the tests' profile, so that no crate is built twice.
TOOLS := $(TARGET)/debug
QUICK_FUNCTION := $(TOOLS)/bootstrap
# Tools from crates.io for `make fuzz`, `make audit` and `make mutants`, in fixed versions, installed on first use.
INSTALLED := $(TARGET)/tools-bin
CARGO_FUZZ := cargo-fuzz-0.13.2
CARGO_DENY := cargo-deny-0.20.2
CARGO_CYCLONEDX := cargo-cyclonedx-0.5.9
CARGO_MUTANTS := cargo-mutants-27.1.0
CARGO_AUDITABLE := cargo-auditable-0.7.7
export PATH := $(abspath $(INSTALLED))/bin:$(PATH)
# make builds whole programs, mostly once. Cargo by hand keeps its incremental state, beside what make built.
export CARGO_INCREMENTAL ?= 0
# Releases: one folder for each version.
DIST := $(TARGET)/dist
# The version for `make release`, which must be that of Cargo.toml and have a section in CHANGELOG.md.
VERSION ?=
# `make release QUICK=1` packs the tests' build, which is no release.
QUICK ?=
QUICK_RELEASE := $(DIST)/hubkeeper-$(shell sed -n '/^\[package\]/,/^\[dep/s/^version = "\(.*\)"$$/\1/p' Cargo.toml)-quick
# The release that `make check-release` verifies.
FOLDER ?= $(DIST)/hubkeeper-$(VERSION)
# The exchanges that the tests record, for `make conformance`. A folder in HUBKEEPER_RECORD is used as it is.
RECORD := $(or $(HUBKEEPER_RECORD),$(TARGET)/record)
# Runs a command without recording.
APART := env -u HUBKEEPER_RECORD
# The virtual environments of tests and linters.
export HUBKEEPER_VENVS ?= $(abspath $(TARGET))/venvs
# Duration of `make chaos`, and of each target of `make fuzz`.
SECONDS ?=
# Replays one run of `make chaos`.
SEED ?=
RUN ?=
# Runs only the planted faults of `make oracles` whose name contains one of these words.
ONLY ?=
# A transcript (docs/verified.md) for `make conformance`, which then compares only this one.
TRANSCRIPT ?=
# An event file for `make demo`, such as events/onboard.json.
EVENT ?=
# Options of hubkeeper for `make deploy`, `make deploy-azure` and `make destroy`.
ARGS ?=

.PHONY: help demo try install test test-function test-cli e2e setup lint-infra test-infra chaos oracles conformance page check build bench-init bench-depth bench-fleet bench-cli package fuzz corpus pictures sessions cost schemas audit mutants deploy deploy-azure onboard logs destroy release check-release reproducible clean function record release-folder tools release-tools
.DEFAULT_GOAL := help

# A target's comment begins with its group: 1 every day, 2 deploy, 3 deep checks, 4 release.
help: ##1 List the targets
	@awk 'BEGIN { FS = ":.*##[1234] "; title[1] = "Every day"; title[2] = "Deploy (docs/deploy.md)"; title[3] = "Deep checks (tests/README.md)"; title[4] = "Release (docs/releasing.md)" } \
		match($$0, /^[a-z0-9-]+:.*##[1234] /) { group = substr($$0, RLENGTH - 1, 1); list[group] = list[group] sprintf("  make %-13s %s\n", $$1, $$2) } \
		END { for (group = 1; group <= 4; group++) printf "%s%s\n%s", (group > 1 ? "\n" : ""), title[group], list[group] }' $(MAKEFILE_LIST)

demo: ##1 Show the whole life of a token in the sandbox; EVENT=events/onboard.json sends one event
	@crates/sandbox/before-demo.sh $(TOOLS) $(if $(EVENT),"$(EVENT)")
	$(CARGO) build --locked -p hubkeeper -p hubkeeper-sandbox --bin bootstrap --bin demo
	@$(TOOLS)/demo $(QUICK_FUNCTION) $(if $(EVENT),"$(EVENT)")

try: ##1 Serve the sandbox for the command line hubkeeper, until Ctrl-C
	@echo 'make try builds the function, the sandbox and the command line: about 6 minutes on two cores the first time'
	@$(MAKE) --no-print-directory tools
	@$(TOOLS)/try $(QUICK_FUNCTION) $(TARGET)/try

install: ##1 Install the command line hubkeeper into cargo's bin folder
	$(CARGO) install --locked --path cli

# Quick ones first. Each test target has its own line (tests/functional/makefile.rs), since they use different environment
# variables. The tests of the command line wait two thirds of their time, and the end-to-end tests half of it, so they run beside
# the others.
test: ##1 Run every test, quick ones first
	@mkdir -p $(TARGET)
	@# the emulator of the last part is downloaded while the compiler runs; that part says what is missing
	@tests/e2e/run.sh --setup >$(TARGET)/e2e-setup.log 2>&1 & $(CARGO) test --workspace --locked --no-run; built=$$?; wait; exit $$built
	$(APART) $(CARGO) test --workspace --locked --lib --bins --test properties --test corpora --test serve_sandbox --test reproducible
	$(APART) $(CARGO) test --workspace --locked --doc
	@$(MAKE) --no-print-directory tools test-infra
	@tests/beside.sh $(TARGET)/beside.log $(MAKE) --no-print-directory test-cli e2e -- $(MAKE) --no-print-directory test-function

test-function:
	$(CARGO) test --workspace --locked --test functional
	$(APART) $(CARGO) test --workspace --locked --test simulation

test-cli: tools
	$(CARGO) test --workspace --locked --test commands
	$(APART) $(CARGO) test --workspace --locked --test terminal

e2e: tools ##3 Deploy a release into a local AWS emulator, update it from an earlier commit, and test it
	@infra/release/release.sh $(TOOLS) $(DIST) --quick >/dev/null
	@$(APART) tests/e2e/run.sh $(QUICK_RELEASE) $(TOOLS)/serve_sandbox $(TOOLS)/hubkeeper --quiet

setup: ##1 Install what the Python tests need, once
	@tests/e2e/run.sh --setup
	@tests/conformance/run.sh --setup
	@tests/page/run.sh --setup
	@infra/lint/run.sh --setup

lint-infra: release-tools ##3 Lint infra: templates, parameter files, Terraform, and the workflows in .github
	@infra/lint/run.sh $(TOOLS)/release $(TARGET)

test-infra: ##3 Test scripts and ARM template of infra
	@infra/test.sh

check: ##1 Check format, lints and documentation, then run every test
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked
	$(MAKE) test

chaos: ##3 Inject random faults for SECONDS=600; SEED=… RUN=… replays one
	$(CARGO) test --workspace --locked --test simulation -- --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED)) $(if $(RUN),--run $(RUN))

oracles: ##3 Prove that the simulation catches each planted fault; ONLY="14 17"
	@CARGO="$(CARGO)" tests/simulation/planted/run.sh $(ONLY)

build: function ##1 Build the function as it is deployed

package: function tools ##1 Build target/lambda/hubkeeper.zip
	@$(TOOLS)/package $(FUNCTION) $(PACKAGE)

conformance: $(if $(TRANSCRIPT),tools,package) $(if $(HUBKEEPER_RECORD),,record) ##3 Compare the sandbox with the services' own clients; TRANSCRIPT=file
	@$(if $(TRANSCRIPT),$(TOOLS)/transcript compare "$(TRANSCRIPT)" $(RECORD),tests/conformance/run.sh $(PACKAGE) $(TOOLS)/serve_sandbox $(RECORD))

page: tools ##3 Test the status page in a browser; RENEW=1 redraws its picture
	@$(if $(filter 1,$(RENEW)),HUBKEEPER_RENEW_PICTURES=1 )tests/page/run.sh $(TOOLS)/page

bench-init: function tools ##3 Measure start-up; fails above twice an empty handler
	@$(TOOLS)/bench init $(FUNCTION) $(FLOOR)

bench-depth: function tools ##3 Measure requests, depth and memory of setSecret
	@$(TOOLS)/bench depth $(FUNCTION)

bench-fleet: function tools ##3 Measure a reconcile of 300 organizations, and the fan-out of 10,000
	@$(TOOLS)/bench fleet $(FUNCTION)

bench-cli: tools ##3 Measure verify, status and --help of the command line
	@$(TOOLS)/bench verify $(QUICK_FUNCTION) $(TOOLS)/hubkeeper
	@echo
	@$(TOOLS)/bench status $(QUICK_FUNCTION) $(TOOLS)/hubkeeper
	@echo
	@$(TOOLS)/bench help $(TOOLS)/hubkeeper

fuzz: $(INSTALLED)/$(CARGO_FUZZ) ##3 Run each fuzz target for SECONDS=60
	@fuzz/run.sh $(or $(SECONDS),60) $(TARGET)/fuzz

corpus: ##3 Rewrite the corpora of the fuzz targets
	$(CARGO) test --workspace --locked --test functional corpus -- --ignored

pictures: ##3 Redraw the README's pictures in docs/pictures
	$(APART) HUBKEEPER_RENEW_PICTURES=1 $(CARGO) test --workspace --locked --test functional --test terminal pictures

sessions: ##3 Renew the sessions and options in docs/cli.md
	$(APART) HUBKEEPER_RENEW_SESSIONS=1 $(CARGO) test --workspace --locked --test commands the_page_shows

cost: ##3 Renew the tables in docs/cost.md
	$(APART) HUBKEEPER_RENEW_COST=1 $(CARGO) test --workspace --locked --test functional cost::

schemas: ##3 Renew the JSON Schemas in docs/schema
	$(APART) HUBKEEPER_RENEW_SCHEMAS=1 $(CARGO) test --workspace --locked --test commands the_files_are_those_of_the_types

audit: $(INSTALLED)/$(CARGO_DENY) $(INSTALLED)/$(CARGO_CYCLONEDX) release-tools ##3 Check dependencies: licences, sources, advisories; write target/sbom
	@infra/audit.sh $(TOOLS)/release $(TARGET)/sbom

mutants: $(INSTALLED)/$(CARGO_MUTANTS) ##3 Mutate the core and prove that a test fails each time
	$(CARGO) mutants --package hubkeeper-core --output $(TARGET)
	$(CARGO) mutants --package hubkeeper --output $(TARGET)/pace

# The five below reach AWS and Azure: docs/deploy.md. ARGS holds options of hubkeeper.

deploy: tools ##2 Build a release here and deploy it to both clouds; ARGS='--resource-group rg-security'
	@$(TOOLS)/hubkeeper deploy --build $(ARGS)

deploy-azure: tools ##2 Create identity and role in Azure alone; ARGS='--resource-group rg-security'
	@$(TOOLS)/hubkeeper deploy --build --azure-only $(ARGS)

# the secret's name is the prefix of the stack (SecretNamePrefix) and the organization; the variables reach the shell as they are
onboard: ##2 Show the plan for an organization, ask, and run it; ORG=acme, MODE=plan, YES=1
	@case "$${ORG:-}" in \
		'') echo 'ORG is not set: name the Docker Hub organization, as in make onboard ORG=acme' >&2; exit 2 ;; \
		*[!a-z0-9._-]*) echo "ORG=$$ORG is not the name of a Docker Hub organization: write it in lower case" >&2; exit 2 ;; \
	esac; \
	case "$${MODE:-apply}" in \
		plan | apply) ;; \
		*) echo "MODE=$$MODE is not known: use MODE=plan, or leave it out" >&2; exit 2 ;; \
	esac
	@$(MAKE) --no-print-directory tools
	@$(TOOLS)/hubkeeper onboard "$${PREFIX:-hubkeeper/}$$ORG" --stack "$${STACK:-hubkeeper}" $(if $(filter plan,$(MODE)),--plan,$(if $(filter 1,$(YES)),--yes))

logs: ##2 Show the function's log; SINCE=1h, ORG=acme, FOLLOW=1
	@infra/aws/logs.sh

destroy: tools ##2 Delete the stack in AWS, and say what remains; asks for its name
	@$(TOOLS)/hubkeeper destroy $(ARGS)

release: $(if $(QUICK),tools,$(INSTALLED)/$(CARGO_AUDITABLE) $(INSTALLED)/$(CARGO_CYCLONEDX) release-tools) ##4 Build a release: VERSION=0.1.0; QUICK=1 packs the tests' build
	@infra/release/release.sh $(TOOLS) $(DIST) "$(VERSION)" $(if $(QUICK),--quick)

check-release: release-tools ##4 Verify a release; FOLDER=folder, or VERSION=0.1.0
	@$(TOOLS)/release check "$(FOLDER)"

reproducible: $(INSTALLED)/$(CARGO_AUDITABLE) $(INSTALLED)/$(CARGO_CYCLONEDX) release-tools ##4 Build a release twice, in two folders, and compare; VERSION=0.1.0
	@infra/release/reproducible.sh $(TOOLS) $(DIST) "$(VERSION)"

clean: ##1 Remove everything that was built
	$(CARGO) clean

# the release of this checkout, which `hubkeeper deploy --build` deploys: VERSION, ARCH and FOLDER come from there
release-folder: tools
	@infra/aws/build.sh $(TOOLS) "$(ARCH)" "$(VERSION)" "$(FOLDER)"

# the empty handler adds no crate and no feature, so the function is the same as if it were built alone
function:
	infra/release/remapped.sh $(CARGO) build --release --locked -p hubkeeper -p hubkeeper-floor --bins

# `make target/tools-bin/cargo-deny-0.20.2` installs that version and leaves a stamp file
$(INSTALLED)/cargo-%:
	$(CARGO) install --locked --root $(INSTALLED) --target-dir $(INSTALLED)/build $(shell echo cargo-$* | sed 's/-\([0-9.]*\)$$/@\1/')
	@touch $@

# --workspace for the features of `make tools`, so that no crate is built twice
release-tools:
	$(CARGO) build --locked --workspace --bin release --bin package

# the whole workspace, so that each crate has the same features as for the tests, and is built once
tools:
	$(CARGO) build --locked --workspace --bins

record: tools
	@rm -rf $(RECORD)
	HUBKEEPER_RECORD=$(abspath $(RECORD)) $(CARGO) test --locked --workspace --test functional
	HUBKEEPER_RECORD=$(abspath $(RECORD)) $(CARGO) test --locked --workspace --test commands doctor
	@HUBKEEPER_RECORD=$(abspath $(RECORD)) $(TOOLS)/demo $(QUICK_FUNCTION) >/dev/null
