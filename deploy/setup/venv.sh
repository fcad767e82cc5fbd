#!/bin/sh
# The virtual environment, from hashed requirements. pyscard is built here; without a compiler it is left out.
set -eu

case $1 in
/*) venv=$1 ;;
*) venv=$PWD/$1 ;; # builds run elsewhere, with this folder's swig in their PATH
esac
python=${PYTHON:-python3}
here=$(cd "$(dirname "$0")/../.." && pwd)

# Asked for pip, not for the folder: one whose making was interrupted is made anew.
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "Python cannot make a virtual environment here. Ask for: apt-get install python3-venv" >&2
        exit 1
    fi
    echo "Making $venv"
    "$python" -m venv --clear "$venv"
fi
pip() { "$venv/bin/python" -m pip --disable-pip-version-check -q "$@"; }

echo "Installing Python packages into $venv (about two minutes the first time)"
pip install --require-hashes -r "$here/requirements/build.txt"
PATH="$venv/bin:$PATH"
export PATH
without_pyscard=$venv/.without-pyscard # make setup looks for it, and comes here again once pyscard can be built
if PYTHON=$python "$here/deploy/setup/can_build_pyscard.sh"; then
    rm -f "$without_pyscard"
    pip install --require-hashes --no-build-isolation -r "$here/requirements/all.txt"
else
    echo "No compiler, or no headers of Python or PC/SC: leaving out pyscard; card readers are simulated."
    touch "$without_pyscard"
    awk '/^[a-zA-Z0-9]/ { skip = /^pyscard==/ } !skip' "$here/requirements/all.txt" >"$venv/requirements.txt"
    pip install --require-hashes --no-build-isolation -r "$venv/requirements.txt"
fi
pip install --no-deps --no-build-isolation -e "$here"
