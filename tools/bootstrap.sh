#!/bin/sh
# Makes .venv from uv.lock. Finds uv, or installs the pinned version into the project's cache, never into the system.
set -eu
UV_VERSION=0.13.9
CACHE=${RINGFENCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ringfence}
root=$(cd "$(dirname "$0")/.." && pwd)

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    uv=$CACHE/uv-$UV_VERSION/bin/uv
    if [ ! -x "$uv" ]; then
        python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
            echo "ringfence: Python 3.11 or newer is needed: apt-get install python3" >&2; exit 2; }
        if ! python3 -c 'import ensurepip' 2>/dev/null; then
            if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
                echo "installing python3-venv" >&2
                apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
            else
                echo "ringfence: Python's venv module is missing: apt-get install python3-venv" >&2; exit 2
            fi
        fi
        echo "installing uv $UV_VERSION into $CACHE" >&2
        python3 -m venv "$CACHE/uv-$UV_VERSION"
        "$CACHE/uv-$UV_VERSION/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
    fi
fi
mkdir -p "$root/.venv"
# other tools of the project (image builds) call uv by this path
"$uv" sync --project "$root" --frozen --quiet
ln -sf "$uv" "$root/.venv/bin/uv"
touch "$root/.venv/.synced"
