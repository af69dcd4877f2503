#!/bin/sh
# Make .venv (if it is not there) and install the lock files named as arguments and the package itself:
#     scripts/make_venv.sh runtime tests checks
# Only what a lock file names by its sha256 is installed. Works where Debian's python3-venv is missing.
set -eu
cd "$(dirname "$0")/.."
venv=.venv

say() { echo "make_venv: $*" >&2; }

is_recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON-} python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if is_recent "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    say "no Python >= 3.11 found; install one (Debian: apt-get install python3) or name it: make PYTHON=/path/to/python3"
    exit 1
}

# Each way leaves a whole environment, or nothing and a failure.
with_venv() { "$python" -c 'import ensurepip, venv' 2>/dev/null && "$python" -m venv "$venv"; }

with_debian_package() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    version=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    say "installing $version"
    apt-get update -q || say "apt-get update failed; trying with the lists that are there"
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$version" && with_venv
}

with_virtualenv() { "$python" -m virtualenv --quiet "$venv" 2>/dev/null; }

# An empty environment, which a pip outside of it fills (pip >= 22.3).
with_outer_pip() {
    "$python" -m pip --version >/dev/null 2>&1 || return 1
    "$python" -m venv --without-pip "$venv" && "$python" -m pip --python "$venv/bin/python" --version >/dev/null 2>&1
}

make_venv() {
    for way in with_venv with_virtualenv with_outer_pip with_debian_package; do
        if "$way"; then return; fi
        rm -rf "$venv"
    done
    say "Python's venv module is missing. As root: apt-get install python3-venv"
    exit 1
}

pip() {
    if [ -x "$venv/bin/pip" ]; then
        "$venv/bin/python" -m pip "$@"
    else
        "$(find_python)" -m pip --python "$venv/bin/python" "$@"
    fi
}

if ! is_recent "$venv/bin/python"; then
    python=$(find_python)
    rm -rf "$venv"
    make_venv
fi

requirements="-r requirements/build.txt"
for group in "$@"; do requirements="$requirements -r requirements/$group.txt"; done
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# shellcheck disable=SC2086 # the words are separate arguments
pip install --quiet --require-hashes $requirements
# What builds the package is already there, with its hash checked: no second, unchecked download.
pip install --quiet --no-deps --no-build-isolation --editable .
