#!/bin/sh
# Makes the environment of an image, in two steps, so that the first is kept while only our own code changes:
#   build.sh requirements NAME     installs requirements/NAME.txt, hashes checked
#   build.sh members FOLDER...     installs our own packages from these folders
# To be run in the root of the checkout. TOOLS and APP are the folders of what builds and of what is built.
set -eu
: "${TOOLS:=/tools}" "${APP:=/app}"

requirements() {
    python3 -m venv "$TOOLS"
    "$TOOLS/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement requirements/bootstrap.txt
    "$TOOLS/bin/uv" venv --quiet --python "$(command -v python3)" "$APP"
    "$TOOLS/bin/uv" pip install --quiet --python "$APP/bin/python" --no-deps --require-hashes \
        --requirement "requirements/$1.txt"
}

members() {
    wheels=$(mktemp -d)
    for member; do
        "$TOOLS/bin/uv" build --quiet --wheel --python "$TOOLS/bin/python" --no-build-isolation --out-dir "$wheels" "$member"
    done
    "$TOOLS/bin/uv" pip install --quiet --python "$APP/bin/python" --no-deps "$wheels"/*.whl
    rm -r "$wheels"
}

"$@"
