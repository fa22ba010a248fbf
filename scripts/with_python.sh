#!/bin/sh
# Runs SCRIPT with an interpreter that is new enough, or says in one sentence what is missing (exit 2).
# In sh, because an old interpreter could not even parse the scripts that would complain.
# Usage: with_python.sh SCRIPT [ARGUMENT...]; the interpreter is $PYTHON, else python3.
set -eu

python=${PYTHON:-python3}

refuse() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 2
}

newer_on_path() {
    for name in python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            printf 'make PYTHON=%s' "$name"
            return
        fi
    done
    printf 'install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3'
}

if ! version=$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null); then
    refuse "ModuPrompt needs Python 3.11 or newer, and '$python' does not run here." "$(newer_on_path)"
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    refuse "ModuPrompt needs Python 3.11 or newer, and '$python' is $version." "$(newer_on_path)"
fi

exec "$python" "$@"
