#!/bin/sh
# Prints the path of a Python 3.11 to 3.14 that can make a virtual environment, or says how to get one.
# Each candidate is run, not just looked up: a pyenv shim exists for versions that are not selected, and
# some distributions ship a Python without venv.
set -u

probe='
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 14):
    sys.exit("is Python %d.%d" % sys.version_info[:2])
import ensurepip, sqlite3, ssl, venv
print(sys.executable)
'

try() {
    command -v "$1" >/dev/null 2>&1 || return 1
    if found=$("$1" -c "$probe" 2>&1) && [ -n "$found" ]; then
        printf '%s\n' "$found"
        exit 0
    fi
    tried="$tried
  $1: $(printf '%s\n' "$found" | sed -n '$p')"
    return 1
}

tried=""

if [ -n "${PYTHON:-}" ]; then
    try "$PYTHON"
    echo "PYTHON=$PYTHON cannot be used:${tried:- not found}" >&2
    exit 1
fi

for name in python3.13 python3.12 python3.11 python3.14 python3 python; do
    try "$name"
    for folder in /opt/homebrew/bin /usr/local/bin /usr/bin; do
        try "$folder/$name"
    done
done
for path in "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/3.1[1234].*/bin/python; do
    try "$path"
done

cat >&2 <<END
Veltrix needs Python 3.11, 3.12, 3.13 or 3.14 with venv, ssl and sqlite3. None was found.
Tried:${tried:- nothing that exists}

How to get one:
  Debian, Ubuntu   sudo apt-get install python3 python3-venv
  Fedora           sudo dnf install python3
  macOS            brew install python@3.13
  anywhere         pyenv install 3.13   or   uv python install 3.13
Or name one yourself: make PYTHON=/path/to/python3.13
END
exit 1
