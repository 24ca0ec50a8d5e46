#!/bin/sh
# Unpacks Debian's packages, and all that they need, into a folder: unpack-packages.sh FOLDER PACKAGES ARCHITECTURE
# Needs root and mmdebstrap. No package's scripts run, so it is the same everywhere.
set -eu
folder=$1
packages=$2
architecture=$3
suite=trixie

# Scanners know by these files what is in the image.
keep_status='
  mkdir -p "$1/var/lib/dpkg/status.d"
  for deb in "$1"/var/cache/apt/archives/*.deb; do
    dpkg-deb -f "$deb" > "$1/var/lib/dpkg/status.d/$(dpkg-deb -f "$deb" Package)"
  done'
rm -rf "$folder"
mmdebstrap --quiet --variant=extract --mode=root --architectures="$architecture" --include="$packages" \
  --extract-hook="$keep_status" "$suite" "$folder"

# Nobody reads these in a container.
rm -rf "$folder"/usr/share/doc "$folder"/usr/share/man "$folder"/usr/share/locale "$folder"/usr/share/lintian "$folder"/usr/share/bug \
  "$folder"/usr/lib/*/gconv "$folder"/usr/lib/*/perl* "$folder"/usr/share/perl* "$folder"/usr/share/debconf "$folder"/usr/lib/*/ossl-modules
