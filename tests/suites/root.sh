# shellcheck shell=bash
# A fresh Debian of its own: built once from Debian's packages, and booted in namespaces of its own with systemd or, where that is
# asked for, with the init that was before it, so that nothing of this machine is touched and nothing in it reaches the network.

roots=${VONGGAC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vonggac}/roots
root_dir="" root_pid="" root_boot=""

root_install() {
  local packages=()
  command -v mmdebstrap >/dev/null || packages+=(mmdebstrap)
  command -v rpmbuild >/dev/null || packages+=(rpm)
  command -v ip >/dev/null || packages+=(iproute2)
  [ ${#packages[@]} -eq 0 ] && return 0
  apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}" >/dev/null
}

# root_make PACKAGE,PACKAGE... [SUITE [INIT,PACKAGE...]]
root_make() {
  local suite=${2:-bookworm} base=${3:-systemd,systemd-sysv,dbus},procps,ca-certificates tar
  # What the package for this suite asks for.
  [ "$suite" != bookworm ] || base=$base,libssl3
  tar=$roots/$(echo "$suite $base $1" | sha256sum | cut -c1-16).tar
  mkdir -p "$roots"
  if [ ! -e "$tar" ]; then
    mmdebstrap --quiet --format=tar --variant=minbase --include="$base,$1" --aptopt='Acquire::Languages "none"' "$suite" "$tar.new" && mv "$tar.new" "$tar" || { rm -f "$tar.new"; return 1; }
  fi
  root_dir=$(mktemp -d)
  tar --numeric-owner -C "$root_dir" -xf "$tar" && echo watched-host >"$root_dir/etc/hostname"
}

# root_start [sysv]: boots it. Its first process ends with all that it has begun when it is stopped.
root_start() {
  local init=(/lib/systemd/systemd --show-status=0) asked="systemctl is-system-running" ready="running degraded"
  if [ "${1:-}" = sysv ]; then init=(/sbin/init) asked=runlevel ready="N 2"; fi
  cat >"$root_dir/.start" <<'BOOT'
#!/bin/bash
set -e
root=$1
shift
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
mkdir -p "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
mkdir "$root/sys/fs/cgroup/systemd"
if ! mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd" 2>/dev/null; then
  umount "$root/sys/fs/cgroup"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
fi
hostname watched-host
ip link set lo up
exec chroot "$root" /usr/bin/env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
BOOT
  chmod +x "$root_dir/.start"
  unshare --mount --pid --net --ipc --uts --cgroup --fork --kill-child "$root_dir/.start" "$root_dir" "${init[@]}" >"$root_dir.log" 2>&1 &
  root_boot=$!
  local state="" waited
  for waited in $(seq 1 90); do
    root_pid=$(cat "/proc/$root_boot/task/$root_boot/children" 2>/dev/null | tr -d ' ')
    if [ -n "$root_pid" ]; then
      # shellcheck disable=SC2086
      state=$(root_run $asked 2>/dev/null)
      if [ -n "$state" ] && [[ $ready == *"$state"* ]]; then return 0; fi
    fi
    kill -0 "$root_boot" 2>/dev/null || break
    sleep 1
  done
  echo "the root did not start within $waited s: $state" >&2
  cat "$root_dir.log" >&2
  return 1
}

# Runs a command inside.
root_run() {
  nsenter --target "$root_pid" --mount --pid --uts --ipc --net --cgroup --root --wd -- \
    /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

# Waits until a command inside succeeds.
root_until() {
  local waited
  for waited in $(seq 1 "$1"); do
    root_run bash -c "$2" >/dev/null 2>&1 && return 0
    sleep 1
  done
  echo "not within $waited s: $2" >&2
  return 1
}

root_stop() {
  [ -n "$root_boot" ] && kill -KILL "$root_boot" 2>/dev/null && wait "$root_boot" 2>/dev/null
  [ -n "$root_dir" ] && rm -rf "$root_dir" "$root_dir.log"
  root_dir="" root_pid="" root_boot=""
}
