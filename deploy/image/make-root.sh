#!/bin/sh
# Makes the root file system of the image from Debian's packages: make-root.sh FOLDER NODE_BINARY [ARCHITECTURE]
# Needs root, mmdebstrap and binutils. No package's scripts run, so it is the same everywhere; what they would do is done here.
set -eu
root=$1
node=$2
architecture=${3:-$(dpkg --print-architecture)}
suite=trixie
packages=base-files,base-passwd,busybox-static,ca-certificates,libc6,libgcc-s1,libstdc++6,netbase,tzdata

# Scanners know by these files what is in the image.
keep_status='
  mkdir -p "$1/var/lib/dpkg/status.d"
  for deb in "$1"/var/cache/apt/archives/*.deb; do
    dpkg-deb -f "$deb" > "$1/var/lib/dpkg/status.d/$(dpkg-deb -f "$deb" Package)"
  done'
rm -rf "$root"
mmdebstrap --quiet --variant=extract --mode=root --architectures="$architecture" --include="$packages" \
  --extract-hook="$keep_status" "$suite" "$root"

# Nobody reads these in a container.
rm -rf "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/locale "$root"/usr/share/lintian "$root"/usr/share/bug \
  "$root"/usr/lib/*/gconv "$root"/usr/lib/*/perl* "$root"/usr/share/perl* "$root"/usr/share/debconf "$root"/usr/lib/*/ossl-modules

cat > "$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
berth:x:10001:10001:Berth:/var/lib/berth:/usr/sbin/nologin
PASSWD
cat > "$root/etc/group" <<'GROUP'
root:x:0:
nogroup:x:65534:
berth:x:10001:
GROUP
cat "$root"/usr/share/ca-certificates/mozilla/*.crt > "$root/etc/ssl/certs/ca-certificates.crt"
for applet in sh cat cp env ls readlink dirname wget sleep; do
  [ -e "$root/usr/bin/$applet" ] || ln -s busybox "$root/usr/bin/$applet"
done
# A new volume of docker takes the owner of what is there.
install -d -o 10001 -g 10001 -m 0750 "$root/var/lib/berth" "$root/var/lib/berth/blobs" "$root/var/lib/berth/spool"
install -d -m 1777 "$root/tmp"
install -m 0755 "$node" "$root/usr/bin/node"
strip "$root/usr/bin/node"
