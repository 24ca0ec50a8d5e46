#!/bin/sh
# Makes one image that stands in for those of PostgreSQL, NATS, nginx and MinIO where none can be pulled: stand-ins.sh OUT.tar
# From Debian's packages, and the nats-server and MinIO that BERTH_NATS_SERVER and BERTH_TEST_MINIO name (MinIO may be missing).
# Needs root, buildah and mmdebstrap. Debian 12 has the oldest PostgreSQL that Berth takes.
set -eu
out=$1
here=$(cd "$(dirname "$0")" && pwd)
name=localhost/berth-stand-in
work=$(mktemp -d)
container=
cleanup() {
  [ -z "$container" ] || buildah rm "$container" > /dev/null
  rm -rf "$work"
}
trap cleanup EXIT
root=$work/root

mmdebstrap --quiet --variant=extract --mode=root \
  --include=base-files,base-passwd,bash,busybox-static,coreutils,dash,libc-bin,nginx-light,postgresql-15 bookworm "$root"
rm -rf "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/locale "$root"/usr/lib/llvm* \
  "$root"/usr/lib/*/libLLVM* "$root"/usr/lib/postgresql/15/lib/bitcode "$root"/usr/lib/postgresql/15/lib/llvmjit*
cat > "$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/bin/sh
postgres:x:999:999:PostgreSQL:/var/lib/postgresql:/bin/sh
nginx:x:101:101:nginx:/nonexistent:/bin/false
berth:x:10001:10001:Berth:/nonexistent:/bin/false
PASSWD
cat > "$root/etc/group" <<'GROUP'
root:x:0:
postgres:x:999:
nginx:x:101:
berth:x:10001:
GROUP
[ -e "$root/usr/bin/wget" ] || ln -s /bin/busybox "$root/usr/bin/wget"
install -d "$root/usr/local/bin"
for program in initdb postgres pg_dump pg_isready pg_restore psql; do
  ln -sf "/usr/lib/postgresql/15/bin/$program" "$root/usr/local/bin/$program"
done
install -d -o 999 -g 999 -m 1777 "$root/var/lib/postgresql/data" "$root/var/run/postgresql"
install -d -m 1777 "$root/tmp"
install -m 0755 "$here/postgres-entrypoint" "$root/usr/local/bin/postgres-entrypoint"
install -m 0755 "$BERTH_NATS_SERVER" "$root/usr/local/bin/nats-server"
[ -z "${BERTH_TEST_MINIO:-}" ] || install -m 0755 "$BERTH_TEST_MINIO" "$root/usr/local/bin/minio"
ldconfig -r "$root"

container=$(buildah from --format docker scratch)
# As an archive: what is copied from a folder would all belong to root.
tar -C "$root" -cf "$work/root.tar" .
buildah add --quiet "$container" "$work/root.tar" / > /dev/null
buildah config --entrypoint '["postgres-entrypoint"]' --cmd postgres \
  --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
buildah commit --quiet --format docker --omit-timestamp "$container" "$name" > /dev/null
buildah push --quiet "$name" "docker-archive:$out:$name:latest"
buildah rmi "$name" > /dev/null
