# make trial    the first trial, end to end      make test    the whole test suite      make install    the set-up alone
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install trial test check clean
.DEFAULT_GOAL := trial

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[local,dev]"
	touch $(STAMP)

# Exit codes 0, 3 and 4 are verdicts (PROMOTE, HOLD, BLOCK); 2 is a user's error.
trial: install
	@$(BIN)/trialist run examples/first_trial.yaml; code=$$?; \
	case $$code in 0|3|4) ;; *) exit $$code ;; esac

test: install check
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache
