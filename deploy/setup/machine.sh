#!/bin/sh
# Debian packages that the product and its tests run on; `machine.sh soak`: those of the campaign, too. Says what is missing; installs it where it may.
set -eu

PATH=$PATH:/usr/sbin:/sbin # where pcscd is; Debian gives it to root only
python=${PYTHON:-python3}
missing=""

need() { # need PACKAGE, WHAT IT IS FOR, then a command that succeeds when it is there
    package=$1 purpose=$2
    shift 2
    if ! "$@" >/dev/null 2>&1; then
        echo "  $package: $purpose"
        missing="$missing $package"
    fi
}

command_exists() { command -v "$1"; }

need python3-venv "the virtual environment" "$python" -c 'import ensurepip, venv'
need python3-dev "headers, to build pyscard" "$python" -c 'import pathlib, sysconfig, sys; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())'
need gcc "to build pyscard and the virtual card reader" command_exists gcc
need libc6-dev "to build pyscard and the virtual card reader" test -e /usr/include/stdio.h
need libpcsclite-dev "PC/SC headers" test -e /usr/include/PCSC/winscard.h
need pcscd "the card reader service" command_exists pcscd
need curl "to call hub and counter by hand" command_exists curl
need ca-certificates "to fetch Python packages" test -d /etc/ssl/certs
need e2fsprogs "for tests: file systems that lose their power" command_exists mkfs.ext4
need mount "for tests: to mount them, and small disks" command_exists mount
if [ "${1:-}" = soak ]; then
    need strace "to see what a process asks of its kernel" command_exists strace
fi

if [ -z "$missing" ]; then
    exit 0
fi
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "Installing the Debian packages named above:$missing"
    apt-get update -qq
    # shellcheck disable=SC2086 # one word per package
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "Not root, or no apt: the packages named above are missing. Ask for: apt-get install$missing"
    case "$missing " in
    *" python3-venv "*) echo "python3-venv is the one that nothing works without." ;;
    *) echo "Going on without them; what needs them says so." ;;
    esac
fi
