#!/bin/sh
# Test vectors that only Debian packages hold, unpacked into $1/vectors; nothing is installed. Without apt it says so, and goes on.
set -eu

packages="golang-github-google-certificate-transparency-dev golang-golang-x-mod-dev"
vectors=$1/vectors
if [ -e "$vectors/.ready" ]; then
    exit 0
fi
echo "Unpacking test vectors into $vectors from the Debian packages $packages"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# shellcheck disable=SC2086 # one word per package
fetch() (cd "$folder" && apt-get download -qq $packages >/dev/null 2>&1)
if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null &&
    { fetch || { [ "$(id -u)" -eq 0 ] && apt-get update -qq && fetch; }; }; then
    mkdir -p "$vectors"
    for package in "$folder"/*.deb; do
        dpkg-deb -x "$package" "$vectors"
    done
    touch "$vectors/.ready"
else
    echo "No apt here, or it does not have them: the tests that need these vectors are skipped, and say so."
fi
