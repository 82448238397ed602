#!/bin/sh
# Makes or updates .venv: scripts/setup.sh requirements.lock | requirements-dev.lock
# Everything that is installed is named with its hash in the lock, the build backend included.
set -eu

lock=$1
here=$(pwd -P)

# An environment breaks when its Python goes away, and points elsewhere when the checkout was moved or copied.
if [ -d .venv ] && ! { [ "$(cat .venv/.home 2>/dev/null)" = "$here" ] && .venv/bin/python -c '' 2>/dev/null; }; then
    echo "The environment in .venv does not fit any more; making it anew."
    rm -rf .venv
fi
if [ ! -d .venv ]; then
    python=$(sh scripts/find-python.sh)
    echo "Making .venv with $("$python" --version) ($python)"
    "$python" -m venv .venv
    printf '%s\n' "$here" >.venv/.home
fi

echo "Installing $lock"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
