#!/bin/sh
# Write requirements/*.txt: every package that may be installed, by version and sha256, and never where it comes from
# (which index or mirror is the machine's business). With arguments: those packages may move to newer versions;
# `--upgrade` moves all.
set -eu
cd "$(dirname "$0")/.."

environment=.cache/lock
[ -x "$environment/bin/uv" ] || {
    ${PYTHON:-python3} -m venv "$environment"
    if [ -e requirements/lock.txt ]; then
        "$environment/bin/pip" install --quiet --require-hashes -r requirements/lock.txt
    else
        "$environment/bin/pip" install --quiet -r requirements/lock.in
    fi
}

case "${1-}" in
    "" | --upgrade) upgrade="${1-}" ;;
    *) upgrade=$(printf -- '--upgrade-package %s ' "$@") ;;
esac

compile() {
    target=$1
    shift
    # shellcheck disable=SC2086 # the words of $upgrade are separate arguments
    "$environment/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links $upgrade \
        --output-file "requirements/$target.txt" "$@"
}

# Later files build on earlier ones, so that all of them fit into one environment.
compile runtime pyproject.toml
compile build requirements/build.in --constraint requirements/runtime.txt
compile tests pyproject.toml --extra tests --constraint requirements/runtime.txt --constraint requirements/build.txt
compile checks pyproject.toml --extra tests --extra checks --constraint requirements/tests.txt \
    --constraint requirements/build.txt
compile lock requirements/lock.in

if grep -nE '://|^ *--(index|extra-index|find|trusted)' requirements/*.txt; then
    echo "lock: a lock file names a download address (above)" >&2
    exit 1
fi
