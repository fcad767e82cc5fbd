#!/bin/sh
# Debian packages that the product and its tests run on. Says what is missing; installs it where it may.
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
need libfprint-2-2 "fingerprint readers, and libfprint's virtual ones" test -e /usr/share/doc/libfprint-2-2
need sane-utils "document scanners" command_exists scanimage
need cups-ipp-utils "for tests: a printer that speaks IPP" command_exists ippeveprinter
need dbus "for tests: what that printer announces itself to" command_exists dbus-daemon
need umockdev "for tests: devices that are plugged in and out" command_exists umockdev-run
need gir1.2-umockdev-1.0 "for tests: to plug them in and out from Python" test -e /usr/share/doc/gir1.2-umockdev-1.0
need python3-gi "for tests: the same" /usr/bin/python3 -c 'import gi'
need chromium "for tests: the pages in a real browser" command_exists chromium
need fonts-noto-cjk "for tests: Chinese in that browser" test -e /usr/share/doc/fonts-noto-cjk
need curl "to call hub and counter by hand" command_exists curl
need ca-certificates "to fetch Python packages" test -d /etc/ssl/certs
need e2fsprogs "for tests: file systems that lose their power" command_exists mkfs.ext4
need mount "for tests: to mount them, and small disks" command_exists mount
need strace "for tests: what a process asks of its kernel" command_exists strace

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
