# make demo   hear it: two takes of the loop that ships, and a picture, in demo/
# make test   the whole test suite
# make check  style, types and sizes
# make clean  forget the environment and the demo

PYTHON ?= python3
VENV := .venv
CLIENT := .venv-unloop-client
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
export OMP_WAIT_POLICY ?= passive

.PHONY: demo test check clean

demo: $(VENV)/.installed
	$(VENV)/bin/ostinato demo -o demo

test: $(VENV)/.dev $(CLIENT)/.installed
	scripts/test

check: $(VENV)/.dev
	scripts/check

clean:
	rm -rf $(VENV) $(CLIENT) demo

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "ostinato needs Python 3.10 or newer; name one: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "no venv module; on Debian: apt install python3-venv"; exit 1; }
	$(PIP) install -q --upgrade 'pip>=25.1'

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e '.[plot]'
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) install -q -c constraints.txt --group dev
	@touch $@

# the gradio_client that unloop's own client was written with, which our server must serve as well
$(CLIENT)/.installed: $(VENV)/bin/python
	$(VENV)/bin/python -m venv $(CLIENT)
	$(CLIENT)/bin/python -m pip --disable-pip-version-check install -q gradio_client==1.8.0
	@touch $@
