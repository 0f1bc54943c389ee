# Two targets work on a fresh machine with Python 3.11 or newer:
#   make demo   sets up; trains, exports int8, compares and runs on frames, with data that needs no download
#   make test   sets up; runs the test suite
# The others are for developers of edgecnn:
#   make test-slow     large networks, benchmark scripts, every property test with 200 examples
#   make lint          ruff, mypy, import contracts, spelling, prose
#   make docs          rewrites the generated tables of docs/formats.md
#   make test-tools    installs, with apt, programs that some tests need
#   make test-device   tests on an emulated Raspberry Pi; needs root, Debian and Linux 6.7
#   make lock          updates the pinned version of every dependency

PYTHON ?= python3
VENV ?= .venv
# Separate environments: the device side alone, and MediaPipe, which must be able to open our files.
BASE_VENV ?= $(VENV)-base
MEDIAPIPE_VENV ?= $(VENV)-mediapipe

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-tools test-device lint docs lock clean

help:
	@sed -n 's/^#  *\(make .*\)/  \1/p' Makefile

setup: $(VENV)/.ready

demo: $(VENV)/.ready
	$(VENV)/bin/edgecnn pipeline run quickstart
	$(VENV)/bin/edgecnn run runs/quickstart/export/quickstart-int8.tflite --source runs/quickstart/results/test.avi --max-frames 10

# The tests wait for cameras, servers and other processes more than they compute, so four of them share two cores.
PYTEST = EDGECNN_BASE_VENV=$(abspath $(BASE_VENV)) EDGECNN_MEDIAPIPE_VENV=$(abspath $(MEDIAPIPE_VENV)) \
	$(VENV)/bin/python -m pytest --numprocesses 4

# PYTEST_OPTIONS=--cov prints the coverage, which takes longer.
test: $(VENV)/.ready $(BASE_VENV)/.ready $(MEDIAPIPE_VENV)/.ready
	$(PYTEST) -m "not slow" $(PYTEST_OPTIONS)

test-slow: $(VENV)/.ready $(BASE_VENV)/.ready $(MEDIAPIPE_VENV)/.ready
	$(PYTEST) -m "slow or hypothesis" --hypothesis-profile thorough --timeout 1500 $(PYTEST_OPTIONS)

# Tests that need one of these are skipped if it is missing: a browser, a broker, an RTSP camera, a screen, a C compiler
# for a delegate, the emulation of a Raspberry Pi.
test-tools:
	$(APT_INSTALL) chromium mosquitto xvfb gcc libc6-dev shellcheck openssh-server python3-gi gir1.2-gst-rtsp-server-1.0 \
		gstreamer1.0-plugins-base gstreamer1.0-plugins-good mmdebstrap qemu-user-static > /dev/null

test-device: $(VENV)/.ready
	EDGECNN_TEST_DEVICE=1 $(VENV)/bin/python -m pytest tests/emulated_pi tests/devices

lint: $(VENV)/.ready
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/codespell
	$(VENV)/bin/python tests/language/prose_lint.py

docs: $(VENV)/.ready
	$(VENV)/bin/python docs/generate_formats.py

# Pins every package with its hash, for every Python and platform that edgecnn supports.
UV_COMPILE = $(VENV)/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header
lock: $(VENV)/.ready
	$(UV_COMPILE) pyproject.toml --constraint locks/constraints.txt --extra train --group dev --output-file locks/dev.txt
	$(UV_COMPILE) pyproject.toml --constraint locks/dev.txt --output-file locks/base.txt
	$(UV_COMPILE) locks/mediapipe.in --output-file locks/mediapipe.txt

clean:
	rm -rf $(VENV) $(BASE_VENV) $(MEDIAPIPE_VENV) build dist

# uv installs from its cache, which all environments share; pip installs uv, in the version that the lock file names.
UV_PIP = $(VENV)/bin/uv pip install --quiet

$(VENV)/.ready: locks/dev.txt pyproject.toml
	@$(MAKE) --no-print-directory python-is-usable
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet "$$(sed -n 's/^\(uv==[^ ]*\) .*/\1/p' locks/dev.txt)"
	$(UV_PIP) --python $(VENV) --require-hashes --requirement locks/dev.txt
	$(UV_PIP) --python $(VENV) --no-deps --no-build-isolation --editable .
	@$(MAKE) --no-print-directory opencv-loads
	@touch $@

# The wheel as a user gets it, without the dependencies of training.
$(BASE_VENV)/.ready: locks/base.txt pyproject.toml $(VENV)/.ready $(shell find edgecnn pipelines devices -type f -not -name '*.pyc')
	rm -rf build/wheel
	$(VENV)/bin/python -m hatchling build --target wheel --directory build/wheel > /dev/null
	$(PYTHON) -m venv --clear $(BASE_VENV)
	$(UV_PIP) --python $(BASE_VENV) --require-hashes --requirement locks/base.txt
	$(UV_PIP) --python $(BASE_VENV) --no-deps build/wheel/*.whl
	@touch $@

$(MEDIAPIPE_VENV)/.ready: locks/mediapipe.txt $(VENV)/.ready
	@$(MAKE) --no-print-directory python-is-usable
	$(PYTHON) -m venv $(MEDIAPIPE_VENV)
	$(UV_PIP) --python $(MEDIAPIPE_VENV) --require-hashes --requirement locks/mediapipe.txt
	@$(MAKE) --no-print-directory mediapipe-loads
	@touch $@

# Packages that a minimal Debian or Ubuntu lacks: the module that puts pip into an environment, and the libraries that
# OpenCV's windows link to.
APT_INSTALL = as_root=$$(test "$$(id -u)" = 0 || echo sudo); \
	$$as_root apt-get update --quiet=2 && $$as_root apt-get install --yes --quiet=2 --no-install-recommends

.PHONY: python-is-usable opencv-loads mediapipe-loads
python-is-usable:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "edgecnn needs Python 3.11 or newer, got $$($(PYTHON) --version 2>&1); try make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2> /dev/null || \
		{ echo "installing python3-venv, which $(PYTHON) lacks" >&2; $(APT_INSTALL) python3-venv > /dev/null; }

opencv-loads:
	@$(VENV)/bin/python -c 'import cv2' 2> /dev/null || \
		{ echo "installing the system libraries that OpenCV needs" >&2; \
		$(APT_INSTALL) libgl1 libglib2.0-0 libsm6 libxcb1 libxext6 > /dev/null; }

mediapipe-loads:
	@$(MEDIAPIPE_VENV)/bin/python -c 'import ctypes; [ctypes.CDLL(f"lib{name}") for name in ("EGL.so.1", "GLESv2.so.2")]' 2> /dev/null || \
		{ echo "installing the system libraries that MediaPipe needs" >&2; $(APT_INSTALL) libegl1 libgles2 > /dev/null; }
