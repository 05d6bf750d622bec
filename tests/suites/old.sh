# shellcheck shell=bash
# The packages for old servers: what their program needs, what their fields ask for; in a Debian 11, which has neither this libc nor this
# OpenSSL, with systemd and with the init that was before it; against a real Kafka, in plain text and over TLS. Sourced by tests/run.
# Nobody has glibc 2.17 here to run it in: that it needs no more is read from the program, and that it needs no younger Linux is tried by
# taking the calls away.

old_spool=/var/lib/vonggac-agent/spool
old_work="" old_kafka=""
old_lib=${VONGGAC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vonggac}/kafka/lib
old_target=${CARGO_TARGET_DIR:-$root/target}

old_ready() {
  local packages=()
  root_install || return 1
  command -v openssl >/dev/null || packages+=(openssl)
  command -v readelf >/dev/null || packages+=(binutils)
  command -v cpio >/dev/null || packages+=(cpio)
  if [ ${#packages[@]} -gt 0 ]; then
    apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}" >/dev/null || return 1
  fi
  old_work=$(mktemp -d)
}

old_build() {
  deploy/package --for old --out "$old_work/one" "$@" && deploy/package --for old --only deb --out "$old_work/two" --version 99.0.0 "$@"
}

# A program of this machine's own makes no such package, and is told why.
old_refuses() {
  local said
  if said=$(deploy/package --for old --out "$old_work/none" --binary "$old_target/release/vonggac-agent" 2>&1); then return 1; fi
  grep -q 'needs libssl.so.3' <<<"$said" || return 1
  grep -q 'needs GLIBC_2\.[2-9][0-9], and may need 2.17 at most' <<<"$said" || { echo "$said" >&2; return 1; }
  [ -z "$(ls "$old_work/none" 2>/dev/null)" ]
}

# What dpkg of 2014 and rpm of 2013 can read, and what hosts of then have.
old_fields() {
  local deb rpm name version
  deb=$(ls "$old_work"/one/*.deb) rpm=$(ls "$old_work"/one/*.rpm)
  [ "$(ar t "$deb" | tr '\n' ' ')" = "debian-binary control.tar.gz data.tar.xz " ] || { ar t "$deb" >&2; return 1; }
  [[ $(dpkg-deb -f "$deb" Depends) =~ ^libc6\ \(\>=\ 2\.(1[0-7]|[0-9])\),\ passwd$ ]] || { dpkg-deb -f "$deb" Depends >&2; return 1; }
  [ "$(rpm -qp --qf '%{PAYLOADCOMPRESSOR}' "$rpm")" = xz ] || return 1
  # SHA-256, which rpm knows since 4.6.
  [ "$(rpm -qp --qf '%{FILEDIGESTALGO}' "$rpm")" = 8 ] || return 1
  while read -r name _ version; do
    case $name in
      libc.so.6* | libm.so.6* | libpthread.so.0* | libdl.so.2* | librt.so.1* | ld-linux-*)
        [[ ! $name =~ GLIBC_2\.(1[89]|[2-9][0-9]) ]] || { echo "rpm: $name" >&2; return 1; } ;;
      'rpmlib(CompressedFileNames)' | 'rpmlib(FileDigests)' | 'rpmlib(PayloadFilesHavePrefix)' | 'rpmlib(PayloadIsXz)' | 'rtld(GNU_HASH)') ;;
      /bin/sh | /usr/sbin/useradd | /usr/sbin/groupadd | /usr/sbin/usermod) ;;
      'config(vonggac-agent)') ;;
      *) echo "rpm: $name $version is not known to an old host" >&2; return 1 ;;
    esac
  done < <(rpm -qp --requires "$rpm")
  rpm -qpl "$rpm" | grep -x /etc/rc.d/init.d/vonggac-agent >/dev/null || return 1
  # The program itself, as it is in each.
  dpkg-deb -x "$deb" "$old_work/deb" && (mkdir -p "$old_work/rpm" && cd "$old_work/rpm" && rpm2cpio "$rpm" | cpio -id --quiet) || return 1
  cmp "$old_work/deb/usr/bin/vonggac-agent" "$old_work/rpm/usr/bin/vonggac-agent" && deploy/packages/old/check "$old_work/deb/usr/bin/vonggac-agent"
}

old_starts() { root_make rpm bullseye && root_start && mkdir -p "$root_dir/packages" && cp "$old_work"/*/*.deb "$old_work"/*/*.rpm "$root_dir/packages/"; }

# An authority of ours and one of others; servers of both kinds of key, and a client.
old_certificates() {
  local dir=$old_work/tls name key
  [ ! -e "$dir" ] || return 0
  mkdir -p "$dir"
  for name in ours others; do
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/$name.key" -out "$dir/$name.pem" -days 2 -subj "/CN=$name" 2>/dev/null || return 1
  done
  for name in server-rsa server-ec client; do
    key=(-algorithm EC -pkeyopt ec_paramgen_curve:P-256)
    [ "$name" != server-rsa ] || key=(-algorithm RSA -pkeyopt rsa_keygen_bits:2048)
    openssl genpkey "${key[@]}" -out "$dir/$name.key" 2>/dev/null || return 1
    openssl req -new -key "$dir/$name.key" -subj "/CN=127.0.0.1" |
      openssl x509 -req -CA "$dir/ours.pem" -CAkey "$dir/ours.key" -CAcreateserial -days 2 -extfile <(echo "subjectAltName=IP:127.0.0.1") -out "$dir/$name.pem" 2>/dev/null || return 1
    cat "$dir/$name.key" "$dir/$name.pem" >"$dir/$name.both"
  done
  openssl pkcs12 -export -inkey "$dir/client.key" -in "$dir/client.pem" -passout pass:secret -out "$dir/client.p12"
}

# A Kafka of ours in the root's own network: in plain text, by TLS 1.2 alone, by TLS 1.3 alone, and for those with a certificate.
old_kafka_start() {
  local dir=$old_work/kafka waited topic
  old_certificates || return 1
  rm -rf "$dir" && mkdir -p "$dir"
  cat >"$dir/properties" <<WORDS
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093,TWO://127.0.0.1:9441,THREE://127.0.0.1:9442,MUTUAL://127.0.0.1:9443
advertised.listeners=PLAINTEXT://127.0.0.1:9092,TWO://127.0.0.1:9441,THREE://127.0.0.1:9442,MUTUAL://127.0.0.1:9443
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TWO:SSL,THREE:SSL,MUTUAL:SSL
log.dirs=$dir/data
auto.create.topics.enable=false
message.max.bytes=4194304
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
ssl.keystore.type=PEM
ssl.keystore.location=$old_work/tls/server-ec.both
ssl.truststore.type=PEM
ssl.truststore.location=$old_work/tls/ours.pem
listener.name.two.ssl.keystore.type=PEM
listener.name.two.ssl.keystore.location=$old_work/tls/server-rsa.both
listener.name.two.ssl.enabled.protocols=TLSv1.2
listener.name.three.ssl.enabled.protocols=TLSv1.3
listener.name.mutual.ssl.client.auth=required
WORDS
  java -Xmx96m -cp "$old_lib/*" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c "$dir/properties" >"$dir/log" 2>&1 || { cat "$dir/log" >&2; return 1; }
  nsenter --target "$root_pid" --net java -Xms64m -Xmx256m -cp "$old_lib/*" kafka.Kafka "$dir/properties" >"$dir/log" 2>&1 &
  old_kafka=$!
  # Topics are what the collector makes elsewhere.
  for waited in $(seq 1 30); do
    if old_java org.apache.kafka.tools.TopicCommand --create --if-not-exists --topic vonggac.security.v1 >/dev/null; then
      for topic in uptime usage; do old_java org.apache.kafka.tools.TopicCommand --create --topic vonggac.$topic.v1 >/dev/null || return 1; done
      return 0
    fi
    kill -0 "$old_kafka" 2>/dev/null || break
    sleep 1
  done
  echo "Kafka did not start within $waited looks" >&2
  tail -20 "$dir/log" >&2
  return 1
}

# One of Kafka's own tools, at that Kafka.
old_java() { nsenter --target "$root_pid" --net timeout 60 java -Xmx96m -cp "$old_lib/*" "$@" --bootstrap-server 127.0.0.1:9092 2>/dev/null; }

old_kafka_stop() {
  if [ -n "$old_kafka" ]; then kill "$old_kafka" 2>/dev/null; wait "$old_kafka" 2>/dev/null; fi
  old_kafka=""
}

old_installs() {
  # Nothing of OpenSSL 3, and a libc that the other package is too new for.
  ! root_run ls /usr/lib/x86_64-linux-gnu/libssl.so.3 2>/dev/null || return 1
  root_run ldd --version | head -1
  root_run bash -c 'dpkg -i /packages/vonggac-agent_[!9]*.deb' || return 1
  root_run systemctl is-enabled --quiet vonggac-agent || return 1
  ! root_run systemctl is-active --quiet vonggac-agent || return 1
  ! root_run systemctl is-failed --quiet vonggac-agent || return 1
  root_run id -nG vonggac-agent | grep adm >/dev/null || return 1
  [ "$(root_run stat -c '%a %U:%G' /etc/vonggac /var/lib/vonggac-agent | tr '\n' ' ')" = "750 root:vonggac-agent 750 vonggac-agent:vonggac-agent " ]
}

old_unit() {
  local said level
  # What it says of this root's own control groups is not about the unit.
  said=$(root_run env SYSTEMD_COLORS=0 systemd-analyze verify /usr/lib/systemd/system/vonggac-agent.service 2>&1 | grep -v "remaining userspace processes")
  [ -z "$said" ] || { echo "$said" >&2; return 1; }
  level=$(root_run systemd-analyze security --no-pager vonggac-agent.service | sed -n 's/.*Overall exposure level[^0-9]*\([0-9.]*\).*/\1/p')
  echo "exposure $level"
  [ -n "$level" ] && awk -v level="$level" 'BEGIN { exit !(level <= 2.0) }'
}

# Lines that no other source of this host gives; how many were read is known.
old_log() {
  local line
  for line in $(seq 1 "$1"); do
    echo "$(date '+%b %e %H:%M:%S') old-host sshd[$((1000 + line))]: Failed password for invalid user lan$line from 203.0.113.$((line % 250 + 1)) port $((20000 + line)) ssh2"
  done >>"$root_dir/var/log/old.log"
}

old_configure() {
  cat >"$root_dir/etc/vonggac/agent.toml" <<'WORDS'
agency = "H49"
plain_text = true
[kafka]
brokers = ["127.0.0.1:9092"]
[spool]
dir = "/var/lib/vonggac-agent/spool"
[[tail]]
path = "/var/log/old.log"
WORDS
  : >"$root_dir/var/log/old.log"
  root_run vonggac-agent check-config --connect | grep 'is right.*, 0 warnings'
}

# All lines were read and known, and Kafka has what they say.
old_ships() {
  local before
  before=$(old_offset)
  root_until 30 'vonggac-agent status --format json | grep -q next_seq' || return 1
  old_log 500
  root_until 60 'vonggac-agent status --format json | grep -q "\"lines_unparsed\": 0" && vonggac-agent status | grep -q "old.log: [5-9][0-9][0-9]* lines.*all read"' || return 1
  root_until 60 'vonggac-agent status --format json | grep -q "\"last_delivery\": \"2"' || return 1
  old_until_offset "$before"
}

# The end of the topic of log-ins, as Kafka itself tells it.
old_offset() { old_java org.apache.kafka.tools.GetOffsetShell --topic vonggac.security.v1 | awk -F: '{ sum += $3 } END { print sum + 0 }'; }

old_until_offset() {
  local tried
  for tried in 1 2 3 4 5 6; do
    [ "$(old_offset)" -le "$1" ] || return 0
    sleep 2
  done
  echo "Kafka's topic does not grow beyond $1 after $tried looks" >&2
  return 1
}

# Calls that came to Linux after 3.10 answer as they do there.
old_kernel() {
  root_run mkdir -p /run/systemd/system/vonggac-agent.service.d || return 1
  cat >"$old_work/kernel.conf" <<'WORDS'
[Service]
SystemCallFilter=~renameat2:ENOSYS sched_setattr:ENOSYS sched_getattr:ENOSYS getrandom:ENOSYS memfd_create:ENOSYS seccomp:ENOSYS bpf:ENOSYS
SystemCallFilter=~execveat:ENOSYS userfaultfd:ENOSYS membarrier:ENOSYS mlock2:ENOSYS copy_file_range:ENOSYS preadv2:ENOSYS pwritev2:ENOSYS
SystemCallFilter=~pkey_mprotect:ENOSYS pkey_alloc:ENOSYS statx:ENOSYS io_uring_setup:ENOSYS pidfd_open:ENOSYS pidfd_send_signal:ENOSYS
ExecStartPre=/bin/sh -c 'stat -c %%w /usr >/var/lib/vonggac-agent/born'
SystemCallFilter=~rseq:ENOSYS clone3:ENOSYS close_range:ENOSYS openat2:ENOSYS faccessat2:ENOSYS
WORDS
  root_run tee /run/systemd/system/vonggac-agent.service.d/kernel.conf <"$old_work/kernel.conf" >/dev/null || return 1
  root_run systemctl daemon-reload && root_run systemctl restart vonggac-agent || return 1
  root_until 30 'systemctl is-active --quiet vonggac-agent' || return 1
  # The calls are refused, not merely written down: without statx nobody can tell when a folder was born.
  [ "$(root_run stat -c %w /usr)" != - ] && [ "$(root_run cat /var/lib/vonggac-agent/born)" = - ] || return 1
  local pid
  pid=$(root_run systemctl show --value --property MainPID vonggac-agent)
  old_ships && root_run systemctl reload vonggac-agent && sleep 2 && [ "$pid" = "$(root_run systemctl show --value --property MainPID vonggac-agent)" ] || return 1
  ! root_run journalctl -u vonggac-agent -o cat --no-pager -p warning | grep -i "function not implemented\|os error 38"
}

old_upgrade() {
  local identity old
  identity=$(root_run md5sum $old_spool/identity) || return 1
  old=$(root_run systemctl show --value --property MainPID vonggac-agent)
  root_run bash -c 'dpkg -i /packages/vonggac-agent_99*.deb' || return 1
  [ "$identity" = "$(root_run md5sum $old_spool/identity)" ] || return 1
  root_until 30 "p=\$(systemctl show --value --property MainPID vonggac-agent); [ \"\$p\" != $old ] && [ \"\$p\" != 0 ] && systemctl is-active --quiet vonggac-agent"
}

old_again() {
  root_run dpkg -r vonggac-agent || return 1
  ! root_run pgrep -x vonggac-agent || return 1
  root_run bash -c 'dpkg -i /packages/vonggac-agent_99*.deb' && root_run systemctl is-enabled --quiet vonggac-agent && root_until 30 'systemctl is-active --quiet vonggac-agent'
}

old_purge() {
  root_run dpkg -P vonggac-agent || return 1
  local left
  left=$(root_run bash -c 'ls -d /etc/vonggac /etc/default/vonggac-agent /etc/init.d/vonggac-agent /etc/rc?.d/*vonggac-agent /var/lib/vonggac-agent /run/vonggac-agent* /usr/lib/vonggac-agent /usr/share/doc/vonggac-agent /etc/systemd/system/*/vonggac-agent* 2>/dev/null; getent passwd vonggac-agent; getent group vonggac-agent; pgrep -x vonggac-agent')
  [ -z "$left" ] || { echo "left: $left" >&2; return 1; }
}

# The other package with its scripts, by an rpm that is no Red Hat's; only what it asks for cannot be looked up in a Debian.
old_rpm() {
  root_run bash -c 'rpm -i --force-debian --nodeps /packages/*.rpm' || return 1
  root_run systemctl is-enabled --quiet vonggac-agent || return 1
  [ "$(root_run stat -c '%a %U:%G' /etc/vonggac /var/lib/vonggac-agent | tr '\n' ' ')" = "750 root:vonggac-agent 750 vonggac-agent:vonggac-agent " ] || return 1
  old_configure && root_run systemctl start vonggac-agent && old_ships || return 1
  root_run rpm -e --force-debian --nodeps vonggac-agent || return 1
  ! root_run pgrep -x vonggac-agent && ! root_run test -e /usr/bin/vonggac-agent && root_run test -e /etc/vonggac/agent.toml
}

# The program that asks Kafka, of the agent's own libraries.
old_tls_program() {
  local tools=${VONGGAC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vonggac}/old machine made rdkafka ssl
  machine=$(uname -m) made=$old_target/$(uname -m)-unknown-linux-gnu/old/build
  # shellcheck disable=SC2012,SC2086
  newest() { ls -td "$made"/$1 2>/dev/null | head -1; }
  rdkafka=$(newest 'rdkafka-sys-*/out/lib/librdkafka.a') ssl=$(newest 'openssl-sys-*/out/openssl-build/install/lib')
  cp -r "$old_work/tls" "$root_dir/tls" || return 1
  "$tools/zig/ziglang/zig" cc -target "$machine-linux-gnu.2.17" -O1 -o "$root_dir/tls/kafka" tests/suites/old/kafka.c -I "$(dirname "$rdkafka")/../include" \
    "$rdkafka" "$ssl/libssl.a" "$ssl/libcrypto.a" "$(newest 'libz-sys-*/out/lib/libz.a')" "$(newest 'zstd-sys-*/out/libzstd.a')" -lpthread -ldl -lm || return 1
  deploy/packages/old/check "$root_dir/tls/kafka"
}

# Whether Kafka tells its topics at a port, with settings of librdkafka. What went wrong is in the log.
old_tls_asks() {
  local port=$1
  shift
  root_run timeout 20 /tls/kafka "127.0.0.1:$port" security.protocol=ssl "$@" 2>"$old_work/tls.log" | grep -x vonggac.security.v1 >/dev/null
}

old_tls() {
  local ours="ssl.ca.location=/tls/ours.pem"
  old_tls_program || return 1
  reached() { old_tls_asks "$@" || { echo "$*" >&2; head -5 "$old_work/tls.log" >&2; return 1; }; }
  reached 9441 $ours && reached 9442 $ours || return 1
  # A client's own certificate, as PEM and as PKCS#12; without it the door is shut.
  reached 9443 $ours ssl.certificate.location=/tls/client.pem ssl.key.location=/tls/client.key || return 1
  reached 9443 $ours ssl.keystore.location=/tls/client.p12 ssl.keystore.password=secret || return 1
  ! old_tls_asks 9443 $ours || return 1
  # Another's authority, and none at all: refused.
  ! old_tls_asks 9442 ssl.ca.location=/tls/others.pem || return 1
  grep -q "certificate verify failed" "$old_work/tls.log" || { cat "$old_work/tls.log" >&2; return 1; }
  ! old_tls_asks 9442 || return 1
  # Where the host keeps its authorities is found without being told.
  root_run bash -c 'cp /tls/ours.pem /usr/local/share/ca-certificates/ours.crt && update-ca-certificates >/dev/null 2>&1' || return 1
  reached 9442
}

# --- without systemd ---

old_sysv_starts() {
  root_make procps bullseye sysvinit-core,sysv-rc,initscripts && root_start sysv && mkdir -p "$root_dir/packages" && cp "$old_work"/*/*.deb "$root_dir/packages/"
  ! root_run test -e /run/systemd/system && ! root_run sh -c 'command -v systemctl'
}

old_sysv_installs() {
  root_run bash -c 'dpkg -i /packages/vonggac-agent_[!9]*.deb' || return 1
  root_run sh -c 'ls /etc/rc2.d/S*vonggac-agent /etc/rc0.d/K*vonggac-agent' >/dev/null || return 1
  root_run service vonggac-agent start | grep "waits for /etc/vonggac/agent.toml" >/dev/null || return 1
  root_run service vonggac-agent status
  [ $? -eq 3 ]
}

old_sysv_runs() {
  local pid
  root_run service vonggac-agent start || return 1
  root_run service vonggac-agent status || return 1
  pid=$(root_run cat /run/vonggac-agent.pid)
  [ "$(root_run stat -c %U "/proc/$pid")" = vonggac-agent ] || return 1
  root_run grep -q '^CapEff:\s*0*$' "/proc/$pid/status" && root_run grep -q '^NoNewPrivs:\s*1$' "/proc/$pid/status" || return 1
  # As many files as the unit gives, or as this machine lets anyone have.
  [ "$(root_run sed -n 's/^Max open files *\([0-9]*\).*/\1/p' "/proc/$pid/limits")" = "$(root_run sh -c 'ulimit -n 65536 2>/dev/null || ulimit -n $(ulimit -Hn); ulimit -n')" ] || return 1
  root_run grep -q '^Groups:.*\b4\b' "/proc/$pid/status" || return 1
  # A second start starts nothing.
  root_run service vonggac-agent start | grep "runs already" >/dev/null || return 1
  [ "$(root_run pgrep -c -x vonggac-agent)" = 1 ]
}

old_sysv_reload() {
  local pid
  pid=$(root_run cat /run/vonggac-agent.pid)
  root_run bash -c 'printf "\n[[tail]]\npath = \"/var/log/added.log\"\n" >>/etc/vonggac/agent.toml; echo first >/var/log/added.log' || return 1
  root_run service vonggac-agent reload || return 1
  root_until 30 'vonggac-agent status | grep -q "added.log: 1 lines"' || return 1
  [ "$pid" = "$(root_run cat /run/vonggac-agent.pid)" ]
}

# Whoever kills the agent, it comes back; whoever kills its keeper too, `status` says so and a start cleans up.
old_sysv_comes_back() {
  local pid
  pid=$(root_run cat /run/vonggac-agent.pid)
  root_run kill -KILL "$pid" || return 1
  root_until 15 "p=\$(cat /run/vonggac-agent.pid); [ \"\$p\" != $pid ] && kill -0 \$p" || return 1
  root_run sh -c 'kill -KILL $(cat /run/vonggac-agent-keeper.pid); kill -KILL $(cat /run/vonggac-agent.pid)' || return 1
  sleep 1
  root_run service vonggac-agent status
  [ $? -eq 1 ] || return 1
  root_run service vonggac-agent restart && root_run service vonggac-agent status && [ "$(root_run pgrep -c -x vonggac-agent)" = 1 ]
}

old_sysv_stops() {
  root_run service vonggac-agent stop || return 1
  ! root_run pgrep -x vonggac-agent || return 1
  ! root_run sh -c 'ls /run/vonggac-agent*.pid' 2>/dev/null || return 1
  root_run service vonggac-agent stop || return 1
  root_run service vonggac-agent reload
  [ $? -eq 7 ] || return 1
  # A wrong configuration is told, and not tried again and again.
  root_run sh -c 'cp /etc/vonggac/agent.toml /tmp/right; echo "hots = 1" >>/etc/vonggac/agent.toml' || return 1
  ! root_run service vonggac-agent start || return 1
  ! root_run pgrep -x vonggac-agent || return 1
  root_run sh -c 'cp /tmp/right /etc/vonggac/agent.toml'
}

# On hosts of 2014 setpriv is not there.
old_sysv_without_setpriv() {
  root_run mv /usr/bin/setpriv /usr/bin/setpriv.away || return 1
  root_run service vonggac-agent start || return 1
  local pid
  pid=$(root_run cat /run/vonggac-agent.pid)
  [ "$(root_run stat -c %U "/proc/$pid")" = vonggac-agent ] && root_run grep -q '^CapEff:\s*0*$' "/proc/$pid/status" && root_run grep -q '^Groups:.*\b4\b' "/proc/$pid/status"
}

old_sysv_upgrade() {
  local old
  old=$(root_run cat /run/vonggac-agent.pid)
  root_run bash -c 'dpkg -i /packages/vonggac-agent_99*.deb' || return 1
  root_until 15 "p=\$(cat /run/vonggac-agent.pid); [ \"\$p\" != $old ] && kill -0 \$p" && [ "$(root_run pgrep -c -x vonggac-agent)" = 1 ]
}

old_suite() {
  step "what the suite needs" old_ready
  step "programs" cargo build --quiet --release --locked --workspace --bins
  step "packages are built" old_build "$@"
  step "a program that an old host cannot run makes no package" old_refuses
  step "what they ask for is on hosts of 2014" old_fields
  step "a Debian 11 starts" old_starts
  if [ -n "$root_pid" ]; then
    step "Kafka starts" old_kafka_start
    step "install: enabled, its own user, waits for a configuration" old_installs
    step "systemd's verify is silent, exposure at most 2.0" old_unit
    step "check-config reaches Kafka" old_configure
    step "start" root_run systemctl start vonggac-agent
    step "500 lines are read, known, and in Kafka" old_ships
    step "the same where Linux has no call younger than 3.10" old_kernel
    step "TLS 1.2 and 1.3 to Kafka, certificates of both sides" old_tls
    step "upgrade: the identity stays" old_upgrade
    step "remove and install again: goes on" old_again
    step "purge: nothing is left" old_purge
    step "rpm: install by its scripts, ships, goes" old_rpm
    old_kafka_stop
    root_stop
  fi
  step "a Debian 11 without systemd starts" old_sysv_starts
  if [ -n "$root_pid" ]; then
    step "Kafka starts there" old_kafka_start
    step "sysv: install, waits for a configuration" old_sysv_installs
    step "sysv: check-config reaches Kafka" old_configure
    step "sysv: start, its own user, no capability" old_sysv_runs
    step "sysv: 500 lines are read, known, and in Kafka" old_ships
    step "sysv: reload" old_sysv_reload
    step "sysv: comes back when it is killed" old_sysv_comes_back
    step "sysv: stop; a wrong configuration is told once" old_sysv_stops
    step "sysv: without setpriv" old_sysv_without_setpriv
    step "sysv: upgrade" old_sysv_upgrade
    step "sysv: purge: nothing is left" old_purge
    old_kafka_stop
    root_stop
  fi
  rm -rf "$old_work"
}
