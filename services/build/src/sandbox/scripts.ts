// What a sandbox is made by: three scripts, each run by the one before it with fewer rights. They are given as texts, since the
// account that builds may be unable to enter the folder that Berth lies in.

/*
 * As the service: into the cgroups of the build, and to the front of those that the kernel ends when memory runs out.
 * $0 is the name of the sandbox, by which the sweep knows its processes; $1 the files of the cgroups, the rest the next command.
 */
export const joinScript = `
for file in $1; do echo $$ > "$file" || exit 97; done
echo 900 > /proc/self/oom_score_adj 2>/dev/null || true
shift
exec "$@"
`

/*
 * Collects what the sandbox shows of the host, read-only, on /tmp of a private mount namespace: as root where the service is root, so
 * that files lie where the account that builds may not go. $1: an empty folder of ours; then how many pairs of places follow, the
 * pairs, and the next command.
 */
export const stageScript = `
set -eu
stage=$1 pairs=$2; shift 2
mount -t tmpfs -o size=4m,mode=755,nosuid,nodev berth-stage "$stage"
mkdir "$stage/root" "$stage/host"
while [ "$pairs" -gt 0 ]; do
  if [ -d "$1" ]; then mkdir "$stage/host/$2"; else : > "$stage/host/$2"; fi
  mount --rbind "$1" "$stage/host/$2"
  mount -o remount,bind,ro,nosuid,nodev "$stage/host/$2"
  pairs=$((pairs - 1)); shift 2
done
mount --make-rprivate /
mount -n --move "$stage" /tmp
exec "$@"
`

/*
 * As root of the new namespaces: a root folder in memory with the programs of the host and nothing else of it, then the inputs from
 * standard input, then the script among them. File descriptor 3 takes the result, 4 notes of how far it is, 5 gives the context.
 * $1: bytes and inodes of that memory, as tmpfs takes them.
 */
export const enterScript = `
set -eu
echo enter >&4
mount -t tmpfs -o "$1,mode=755,nosuid,nodev" berth-build /tmp/root
cd /tmp/root
mkdir usr etc etc/containers proc dev dev/shm sys sys/fs sys/fs/cgroup tmp run var var/tmp root host work work/in work/context work/out old
chmod 1777 tmp var/tmp dev/shm
for name in bin sbin lib lib32 lib64 libx32; do
  if [ -L "/$name" ]; then cp -P "/$name" "$name"
  elif [ -d "/$name" ]; then mkdir "$name"; mount --rbind "/$name" "$name"; mount -o remount,bind,ro,nosuid,nodev "$name"
  fi
done
mount --rbind /usr usr
mount -o remount,bind,ro,nosuid,nodev usr
mount --rbind /tmp/host host
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t cgroup2 -o ro,nosuid,nodev,noexec cgroup2 sys/fs/cgroup 2>/dev/null || true
for name in null zero full random urandom tty; do : > "dev/$name"; mount --bind "/dev/$name" "dev/$name"; done
ln -s /proc/self/fd dev/fd; ln -s fd/0 dev/stdin; ln -s fd/1 dev/stdout; ln -s fd/2 dev/stderr
echo root:x:0:0:root:/root:/bin/sh > etc/passwd
echo root:x:0: > etc/group
echo 127.0.0.1 localhost build > etc/hosts
: > etc/resolv.conf
hostname build 2>/dev/null || true
ip link set lo up 2>/dev/null || busybox ip link set lo up 2>/dev/null || true
pivot_root . old
cd /work
umount -l /old
rmdir /old
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LOGNAME=root TMPDIR=/tmp LC_ALL=C
tar -x -f - -C /work/in
exec </dev/null
echo inside >&4
exec sh /work/in/run.sh
`
