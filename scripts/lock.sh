#!/bin/sh
# Resolves requirements.lock (what runs) and requirements-dev.lock (that and what develops it) for Python 3.11
# to 3.14 on every platform, with hashes. The result must not say where packages come from: that is the
# business of whoever installs them.
set -eu

if [ ! -x .lock-venv/bin/uv ]; then
    python=$(sh scripts/find-python.sh)
    "$python" -m venv .lock-venv
    .lock-venv/bin/python -m pip install --quiet --disable-pip-version-check uv
fi

# What no longer comes ready-built for some machine stays there at the last version that did: nobody
# should need a compiler.
held=.lock-venv/held.txt
cat >"$held" <<END
cryptography<49 ; sys_platform == 'darwin' and platform_machine == 'x86_64'
END

compile() {
    .lock-venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --constraints "$held" --no-emit-index-url --no-emit-find-links "$@" pyproject.toml
}

compile --group build --output-file requirements.lock "$@"
compile --group build --group dev --extra cluster --extra tracing --constraints requirements.lock --output-file requirements-dev.lock "$@"

if grep -n -E '[a-z]+://|--(extra-)?index-url|--find-links' requirements.lock requirements-dev.lock; then
    echo "A lock names a host (above); not fit to be committed." >&2
    exit 1
fi
