# What people type; the work is in scripts/.

.PHONY: build test demo bench fuzz lint fmt clean faults install-dependencies

build: install-dependencies
	swift build -c release --product sluice

test:
	scripts/test

# DEMO_SECONDS=30 make demo: ends by itself.
demo: build
	.venv/bin/python scripts/demo.py

# make faults ARGS="--seed 1 --layout documents"
faults: install-dependencies
	scripts/faults $(ARGS)

# make bench ARGS=--help
bench: build
	Benchmarks/run $(ARGS)

# make fuzz DIALECT=csv SECONDS=600; without a dialect it says which there are.
fuzz:
	scripts/fuzz "$(DIALECT)" $(SECONDS)

lint:
	swift format lint --strict --recursive Sources Tests Package.swift

fmt:
	swift format --in-place --recursive Sources Tests Package.swift

clean:
	rm -rf .build .venv .cache

install-dependencies:
	scripts/install-dependencies
