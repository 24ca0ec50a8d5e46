#!/bin/sh
# Makes what the image that builds has beside the other one: make-engine.sh FOLDER ROOT [ARCHITECTURE]
# ROOT is what make-root.sh made; what is there already is left out. Needs what make-root.sh needs, and libcap2-bin.
set -eu
engine=$1
root=$2
architecture=${3:-$(dpkg --print-architecture)}
here=$(cd "$(dirname "$0")" && pwd)

"$here/unpack-packages.sh" "$engine" buildah,coreutils,dash,libc-bin,libcap2-bin,mount,netavark,tar,uidmap,util-linux "$architecture"
# Builds have no network of containers, and buildah's own tests and examples are no part of it.
rm -rf "$engine/usr/lib/cni" "$engine/usr/libexec/buildah" "$engine/usr/share/bash-completion" "$engine"/usr/bin/perl* \
  "$engine/var/cache" "$engine/var/lib/apt" "$engine/etc/apt"

(cd "$engine" && find . ! -type d) | while IFS= read -r path; do
  if [ -e "$root/$path" ] || [ -L "$root/$path" ]; then rm "$engine/$path"; fi
done
# One is laid over the other: a folder must not hide a link.
(cd "$root" && find . -type l) | while IFS= read -r path; do
  if [ -d "$engine/$path" ] && [ ! -L "$engine/$path" ]; then rm -rf "${engine:?}/$path"; fi
done
find "$engine" -depth -mindepth 1 -type d -empty -delete

# That of busybox takes its own setpriv, unshare and mount before those of Debian, and they know less.
ln -s dash "$engine/usr/bin/sh"

# As setuid programs these need CAP_SYS_ADMIN, which a container has not; by a capability of their own they do not.
chmod u-s "$engine/usr/bin/newuidmap" "$engine/usr/bin/newgidmap"
setcap cap_setuid=ep "$engine/usr/bin/newuidmap"
setcap cap_setgid=ep "$engine/usr/bin/newgidmap"

# The ids that builds may give out inside.
mkdir -p "$engine/etc"
echo berth:200000:65536 > "$engine/etc/subuid"
echo berth:200000:65536 > "$engine/etc/subgid"
