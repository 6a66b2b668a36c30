# Each target builds the environment when it is missing or when pyproject.toml has changed.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: train test slow lint claims bench dashboard clean help

train: .venv/installed ## train a convolutional network on handwritten digits
	$(BIN)/python train.py --model cnn

test: .venv/installed ## run the tests
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

slow: .venv/installed ## run the tests that need minutes, or real data in DATA_ROOT
	$(BIN)/python -m pytest -m slow

lint: .venv/installed ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

claims: .venv/installed ## run the statements of five articles
	$(BIN)/python -m claims

bench: .venv/installed ## measure side by side
	$(BIN)/python -m bench all

dashboard: .venv/installed ## make a small run and check what TensorBoard shows of it
	$(BIN)/python train.py --model cnn --root runs/dashboard
	$(BIN)/python -m dashboard.check runs/dashboard --screenshot runs/dashboard-screenshots

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 to 3.13 is needed, this is " + sys.version.split()[0] + "; choose one with: make PYTHON=python3.11") if not (3, 11) <= sys.version_info[:2] < (3, 14) else 0'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

clean: ## remove the environment and what was built
	rm -rf .venv build *.egg-info

help: ## show this list
	@grep -E '^[a-z]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 12
