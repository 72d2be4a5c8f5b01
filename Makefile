# The same names on a laptop and in CI.

# Where cargo builds.
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: chart chart-smoke help build demo test bench crashes mutations trace lint image airgap

help:            ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build:           ## the binary, optimised: target/release/tahuka
	cargo build --release --locked -p tahuka

demo: build      ## plays the four-year programme; ARGS="--exit --json out.json", "--help"
	$(TARGET)/release/tahuka demo $(ARGS)

test:            ## every test, on the embedded parts and on PostgreSQL with JetStream
	cargo build --locked -p tahuka
	tests/with-parts cargo test --locked --workspace $(ARGS)

bench: build     ## what the scope, the door and the check of a bundle cost, each as a ratio to a reference of the same run
	TAHUKA_TEST_DURABLE=1 TAHUKA_BINARY=$(abspath $(TARGET))/release/tahuka tests/with-parts cargo bench --locked -p tahuka-tests
	cargo bench --locked -p tahuka-bag

crashes:         ## a hundred tranches go over, each with a kill -9 on its way; RUNS=10 for fewer
	cargo build --locked -p tahuka
	TAHUKA_TEST_CRASHES=$(or $(RUNS),100) tests/with-parts cargo test --locked -p tahuka-tests --test e2e whoever_is_killed_on_the_way -- --nocapture

mutations:       ## takes the guards of scoped views away one at a time, and sees that a test notices each
	tests/with-parts tests/mutations $(ARGS)

trace:           ## one registration's way through the processes, printed as text
	cargo build --locked -p tahuka
	tests/with-parts cargo test --locked -p tahuka-tests --test e2e a_registration_is_one_trace -- --nocapture

lint:            ## format, clippy, the contract, licences and advisories
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	tests/lint-contract
	deploy/observability/dashboards/make --check
	tests/lint-dependencies

image:           ## the container image: target/image/tahuka.oci.tar; the same sources give the same digest
	deploy/image/build

airgap:          ## all that a site without the internet needs, in one signed file (docs/install-airgap.md)
	deploy/image/airgap

chart:           ## the chart, alert rules, compose file and Dockerfile, checked without a cluster; ARGS="rendering pods"
	deploy/chart-checks/check $(ARGS)

chart-smoke:     ## every pod of the rendered chart started by podman, and the demonstration played through them
	deploy/chart-checks/smoke $(ARGS)
