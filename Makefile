# What people type; the work is in scripts/.

.PHONY: build test test-long demo bench bench-check fuzz lint fmt clean faults schemathesis dashboards grafana-scale stack deb deb-test \
	install-dependencies install-test-dependencies

build: install-dependencies
	swift build -c release --product sluice --static-swift-stdlib

test:
	scripts/test

# And those that take minutes each.
test-long:
	SLUICE_TEST_LONG=1 scripts/test

# DEMO_SECONDS=30 make demo: ends by itself.
demo: build
	.venv/bin/python scripts/demo.py

# make faults ARGS="--seed 1 --layout documents"
faults: install-dependencies
	scripts/faults $(ARGS)

# make bench ARGS=--help
bench: build
	Benchmarks/run $(ARGS)

# Instructions per reading of the hot paths, against those that are kept; repeatable, wants valgrind.
bench-check:
	scripts/bench-check

# make fuzz DIALECT=csv SECONDS=600; without a dialect it says which there are.
fuzz:
	scripts/fuzz "$(DIALECT)" $(SECONDS)

# make schemathesis EXAMPLES=100: requests made from /openapi.json, right and wrong ones, against the running API.
schemathesis: install-dependencies
	swift build --product sluice
	scripts/schemathesis $(EXAMPLES)

# Writes grafana/dashboards and the alert rules from grafana/source and grafana/limits.json.
dashboards:
	python3 grafana/generate.py

# Times every query of the dashboards over two million readings (grafana/RESULTS.md); wants ../shared/servers.
grafana-scale: install-test-dependencies
	.venv/bin/python Tests/GrafanaTests/scale.py

# Runs compose/ as containers and tries it; as root on Debian 12, without Docker: make stack ARGS=--help
stack: install-test-dependencies
	.venv/bin/python scripts/stack $(ARGS)

# The Debian package, .build/deb/sluice_*.deb.
deb: install-dependencies
	scripts/deb

# Installs it in a fresh Debian 12, runs it, and purges it; as root, with debootstrap.
deb-test: deb
	scripts/deb-test

lint:
	swift format lint --strict --recursive Sources Tests Benchmarks Package.swift

fmt:
	swift format --in-place --recursive Sources Tests Benchmarks Package.swift

clean:
	rm -rf .build .venv .cache

install-dependencies:
	scripts/install-dependencies

install-test-dependencies:
	scripts/install-dependencies tests
