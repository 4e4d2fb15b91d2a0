# The targets install what they need (scripts/setup.sh): Debian packages where apt-get is there, a .venv, the package.
SHELL := /bin/bash
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PY := .venv/bin/python
export JOBS

.PHONY: help demo demo-compare test hosts proof soak bench wheel format lint clean

help:
	@echo "make demo     speech through the whisper skin: build/demo/out.wav and a spectrogram"
	@echo "make demo-compare   two tiers of a skin on the page that compares by ear"
	@echo "make test     the whole test suite, C++ and Python"
	@echo "make hosts    every game host that can run here, Windows under wine and Godot among them: benchmarks/hosts.md"
	@echo "make proof    every proof of real-time safety in its full form: benchmarks/proof/proof.md (an hour or two)"
	@echo "make soak     hours of audio through every stream: benchmarks/proof/soak.md (HOURS=4 each), and of live sound"
	@echo "make bench    networks and kernels against this core's peak, the shipped models, other engines: benchmarks/RESULTS.md"
	@echo "make wheel    dist/*.whl, which runs without development packages"
	@echo "make format   lay out the sources"
	@echo "make lint     ruff, mypy, clang-format, import rules"
	@echo "make clean    remove build/, dist/ and .venv/"

demo:
	@scripts/setup.sh demo
	@$(PY) scripts/demo.py

demo-compare:
	@scripts/setup.sh compare
	@$(PY) scripts/demo_compare.py

test:
	@scripts/setup.sh test
	@scripts/test.sh

hosts:
	@scripts/setup.sh test
	@scripts/setup.sh hosts
	@$(PY) scripts/hosts.py

proof:
	@scripts/setup.sh test
	@$(PY) scripts/proof.py

soak:
	@scripts/setup.sh test
	@scripts/soak.sh $(HOURS)
	@scripts/soak_live.sh

bench:
	@scripts/setup.sh bench
	@scripts/bench.sh

wheel:
	@scripts/setup.sh wheel
	@scripts/wheel.sh

format:
	@scripts/setup.sh lint
	@scripts/lint.sh --fix

lint:
	@scripts/setup.sh lint
	@scripts/lint.sh

clean:
	rm -rf build dist .venv .mypy_cache .ruff_cache .pytest_cache
