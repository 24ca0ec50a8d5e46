#!/bin/sh
# Makes the root file system of the image from Debian's packages: make-root.sh FOLDER NODE_BINARY [ARCHITECTURE]
# Needs root, mmdebstrap and binutils.
set -eu
root=$1
node=$2
architecture=${3:-$(dpkg --print-architecture)}
here=$(cd "$(dirname "$0")" && pwd)

# What the scripts of the packages would do is done here.
"$here/unpack-packages.sh" "$root" \
  base-files,base-passwd,busybox-static,ca-certificates,libc6,libgcc-s1,libstdc++6,netbase,tzdata "$architecture"

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
