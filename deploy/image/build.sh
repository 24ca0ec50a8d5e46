#!/bin/sh
# Builds the image without pulling any: build.sh [--with-engine] NAME [OUT.tar]
# From Debian's packages and npm's, by buildah, as root. With OUT.tar it is written there too, as `docker load` reads it. With the engine it
# is for the service that builds.
set -eu
engine=
if [ "${1:-}" = --with-engine ]; then engine=yes; shift; fi
here=$(cd "$(dirname "$0")" && pwd)
name=$1
out=${2:-}
for needed in buildah mmdebstrap strip; do
  command -v "$needed" > /dev/null || { echo "build.sh: $needed is missing: apt-get install buildah mmdebstrap binutils" >&2; exit 69; }
done
if [ -n "$engine" ] && ! command -v setcap > /dev/null; then echo "build.sh: setcap is missing: apt-get install libcap2-bin" >&2; exit 69; fi
work=$(mktemp -d)
container=
cleanup() {
  [ -z "$container" ] || buildah rm "$container" > /dev/null
  rm -rf "$work"
}
trap cleanup EXIT

node_binary=$(node "$here/assemble.mjs" "$work/berth")
"$here/make-root.sh" "$work/root" "$node_binary"
container=$(buildah from --format docker scratch)
# As an archive: what is copied from a folder would all belong to root.
tar -C "$work/root" -cf "$work/root.tar" .
buildah add --quiet "$container" "$work/root.tar" / > /dev/null
if [ -n "$engine" ]; then
  "$here/make-engine.sh" "$work/engine" "$work/root"
  tar -C "$work/engine" --xattrs --xattrs-include=security.capability -cf "$work/engine.tar" .
  buildah add --quiet "$container" "$work/engine.tar" / > /dev/null
fi
# By the Node of the image, which is named there.
"$node_binary" "$here/sbom.mjs" "$work/berth" "$work/root" ${engine:+"$work/engine"} > "$work/berth/sbom.json"
buildah add --quiet --chown 0:0 "$container" "$work/berth" /opt/berth > /dev/null
version=$(node -p "require('$here/../../package.json').version")
revision=$(git -C "$here" rev-parse HEAD 2> /dev/null || echo unknown)
buildah config \
  --user 10001:10001 --workingdir /var/lib/berth --port 8080 --stop-signal SIGTERM \
  --entrypoint '["/opt/berth/berth"]' \
  --env NODE_ENV=production --env BERTH_INTERNAL_HOST=0.0.0.0 --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
  --healthcheck "CMD /opt/berth/healthy" \
  --healthcheck-interval 10s --healthcheck-timeout 5s --healthcheck-start-period 30s --healthcheck-retries 3 \
  --label org.opencontainers.image.title=Berth \
  --label org.opencontainers.image.description='A registry hub: one of its services' \
  --label org.opencontainers.image.licenses="$(node -p "require('$here/../../package.json').license")" \
  --label org.opencontainers.image.version="$version" \
  --label org.opencontainers.image.revision="$revision" \
  "$container"
# Docker's own format: OCI's has no health check.
buildah commit --quiet --format docker --omit-timestamp "$container" "$name" > /dev/null
[ -z "$out" ] || buildah push --quiet "$name" "docker-archive:$out:$name"
echo "built $name"
