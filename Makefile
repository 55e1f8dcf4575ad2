# make demo: install and run an example for nothing. make test: install the test extra and run all tests.
# make reliability: the figures about rows and money, with small counts; -full: with the counts of docs/reliability.md.
# make local-model: only the tests in which llama.cpp answers, on a model that they write themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test local-model reliability reliability-full lint fix docs bench emulator clean

demo: $(VENV)/.run
	$(BIN)/batchrun run jobs/extract_invoices.yaml --emulator
	@$(BIN)/python jobs/print_table.py jobs/runs/extract_invoices.emulated/results.parquet

test: $(VENV)/.test
	$(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder

local-model: $(VENV)/.test
	$(BIN)/python -m pytest -rs tests/emulator/test_gguf.py tests/emulator/test_local_model.py

reliability: $(VENV)/.test
	$(BIN)/python -m tests.reliability

reliability-full: $(VENV)/.test
	$(BIN)/python -m tests.reliability --full

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.test
	$(BIN)/python docs/generate.py

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks

emulator: $(VENV)/.run
	$(BIN)/batchrun emulator serve

clean:
	rm -rf $(VENV) build dist jobs/runs

$(VENV)/.run: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.test: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable '.[test]'
	@touch $@ $(VENV)/.run
