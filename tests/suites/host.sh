# shellcheck shell=bash
# The ten-minute installation on a Debian with nginx, PostgreSQL, Postfix and OpenSSH: what `sources` finds, and that the agent with
# what it wrote reads a line of each. Sourced by tests/run.

host_packages=rsyslog,nginx,postgresql,postfix,openssh-server,curl,openssh-client

host_ready() { root_install && root_make "$host_packages" && root_start; }

# The package, as an administrator gets it.
host_agent() {
  deploy/package --only deb --out "$root_dir/packages" "$@" || return 1
  root_run bash -c 'dpkg -i /packages/*.deb'
}

host_sources() {
  root_run vonggac-agent sources --agency H49 --brokers 127.0.0.1:9092 --plain-text --output /etc/vonggac/agent.toml || return 1
  local name found
  found=$(root_run vonggac-agent sources --format json) || return 1
  for name in openssh nginx postgresql postfix; do
    grep -q "\"name\": \"$name\"" <<<"$found" || { echo "$name was not found" >&2; return 1; }
  done
  # What was found runs and answers, and can be read by the agent's own user.
  for name in openssh-22 nginx-80 postgresql-5432 postfix-25; do
    root_run grep -q "^name = \"$name\"" /etc/vonggac/agent.toml || { echo "$name is not probed" >&2; return 1; }
  done
  ! root_run grep "NOT READABLE\|did not answer" /etc/vonggac/agent.toml
}

host_never_overwrites() {
  local before after
  before=$(root_run md5sum /etc/vonggac/agent.toml)
  if root_run vonggac-agent sources --agency H49 --brokers 127.0.0.1:9092 --plain-text --output /etc/vonggac/agent.toml; then return 1; fi
  after=$(root_run md5sum /etc/vonggac/agent.toml)
  [ "$before" = "$after" ]
}

host_check_config() { root_run vonggac-agent check-config; }

host_starts() {
  root_run systemctl start vonggac-agent || return 1
  root_until 30 'systemctl is-active --quiet vonggac-agent && vonggac-agent status | grep -q "tail /var/log/nginx"'
}

host_lines() { root_run vonggac-agent status --format json | sed -n 's/^  "lines_read": \([0-9]*\),/\1/p'; }

# One line of each service that is there, made by the service itself.
host_reads() {
  local before
  before=$(host_lines)
  root_run curl -s -o /dev/null "http://127.0.0.1/vonggac-was-here" || return 1
  root_run ssh -o StrictHostKeyChecking=no -o BatchMode=yes nobody-vonggac@127.0.0.1 true 2>/dev/null
  root_run su postgres -c "psql -c 'select vonggac_was_here'" 2>/dev/null
  root_run bash -c 'printf "Subject: x\n\nx\n" | sendmail -f vonggac-was-here@localhost root' || return 1
  # What each wrote is where it was said to be, and all that was written was read.
  root_until 30 'grep -q vonggac-was-here /var/log/nginx/access.log' || return 1
  root_until 30 'grep -q nobody-vonggac /var/log/auth.log' || return 1
  root_until 30 'grep -q vonggac_was_here /var/log/postgresql/*.log' || return 1
  root_until 30 'grep -q vonggac-was-here@localhost /var/log/syslog' || return 1
  root_until 30 'vonggac-agent status | grep -q "access.log: [1-9][0-9]* lines.*all read"' || return 1
  root_until 30 'vonggac-agent status | grep -q "auth.log: [1-9][0-9]* lines.*all read"' || return 1
  root_until 30 'vonggac-agent status | grep -q "postgresql-.*log: [1-9][0-9]* lines.*all read"' || return 1
  root_until 30 'vonggac-agent status | grep -q "log/syslog: [1-9][0-9]* lines.*all read"' || return 1
  [ "$(host_lines)" -ge $((before + 4)) ]
}

# Each is in the spool as the event that it is: words of its raw line stand in a segment.
host_spooled() {
  local words
  for words in vonggac-was-here nobody-vonggac vonggac_was_here; do
    root_until 10 "grep -rqa $words /var/lib/vonggac-agent/spool" || return 1
  done
}

host_reload() {
  root_run bash -c 'printf "\n[[tail]]\npath = \"/var/log/added.log\"\n" >>/etc/vonggac/agent.toml; echo first >/var/log/added.log' || return 1
  root_run systemctl reload vonggac-agent || return 1
  root_until 30 'vonggac-agent status | grep -q "added.log: 1 lines"'
}

# The spool's clockwork stands still: systemd ends the agent and begins it anew. (A stopped process feeds nobody.)
host_watchdog() {
  local pid
  root_run mkdir -p /run/systemd/system/vonggac-agent.service.d
  root_run bash -c 'printf "[Service]\nWatchdogSec=5s\n" >/run/systemd/system/vonggac-agent.service.d/short.conf; systemctl daemon-reload; systemctl restart vonggac-agent' || return 1
  pid=$(root_run systemctl show --value --property MainPID vonggac-agent)
  sleep 8
  [ "$pid" = "$(root_run systemctl show --value --property MainPID vonggac-agent)" ] || { echo "restarted without need" >&2; return 1; }
  root_run kill -STOP "$pid"
  root_until 60 "p=\$(systemctl show --value --property MainPID vonggac-agent); [ \"\$p\" != $pid ] && [ \"\$p\" != 0 ] && systemctl is-active --quiet vonggac-agent"
}

host_suite() {
  step "a Debian with nginx, PostgreSQL, Postfix and sshd starts" host_ready
  [ -n "$root_pid" ] || return
  step "the package is installed" host_agent "$@"
  step "sources finds all four, and what the agent's user may read" host_sources
  step "sources never overwrites unasked" host_never_overwrites
  step "the configuration passes check-config untouched" host_check_config
  step "the agent runs with it under systemd" host_starts
  step "a line of each service is read" host_reads
  step "and is in the spool" host_spooled
  step "a reload reads a new log" host_reload
  step "the watchdog begins a stuck agent anew, and leaves a working one" host_watchdog
  root_stop
}
