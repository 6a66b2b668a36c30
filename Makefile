# Each target builds the environment when it is missing or when pyproject.toml has changed.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: train test slow lint claims bench dashboard clean

train: .venv/installed
	$(BIN)/python train.py --model cnn

test: .venv/installed
	$(BIN)/python -m pytest

slow: .venv/installed
	$(BIN)/python -m pytest -m slow

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

claims: .venv/installed
	$(BIN)/python -m claims

bench: .venv/installed
	$(BIN)/python -m bench all

dashboard: .venv/installed
	$(BIN)/python train.py --model cnn --root runs/dashboard
	$(BIN)/python -m dashboard.check runs/dashboard --screenshot runs/dashboard-screenshots

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 to 3.13 is needed, this is " + sys.version.split()[0] + "; choose one with: make PYTHON=python3.11") if not (3, 11) <= sys.version_info[:2] < (3, 14) else 0'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv build *.egg-info
