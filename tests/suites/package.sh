# shellcheck shell=bash
# The packages in a fresh Debian: install, upgrade, remove, purge; and the other package's files and scripts. Sourced by tests/run.

package_spool=/var/lib/vonggac-agent/spool

package_ready() { root_install && root_make rpm && root_start; }

package_build() {
  deploy/package --out "$root_dir/one" "$@" && deploy/package --out "$root_dir/two" --version 99.0.0 "$@"
}

package_install() {
  root_run bash -c 'dpkg -i /one/*.deb' || return 1
  # Without a configuration it is enabled, does not run, and nothing has failed.
  root_run systemctl is-enabled --quiet vonggac-agent || return 1
  ! root_run systemctl is-active --quiet vonggac-agent || return 1
  ! root_run systemctl is-failed --quiet vonggac-agent || return 1
  root_run id -nG vonggac-agent | grep -q adm || return 1
  [ "$(root_run stat -c '%a %U:%G' /etc/vonggac)" = "750 root:vonggac-agent" ]
}

package_unit() {
  local said
  said=$(root_run systemd-analyze verify /usr/lib/systemd/system/vonggac-agent.service 2>&1)
  [ -z "$said" ] || { echo "$said" >&2; return 1; }
  root_run systemd-analyze security --no-pager --threshold=20 vonggac-agent.service | tail -1
  [ "${PIPESTATUS[0]}" -eq 0 ]
}

package_starts() {
  root_run vonggac-agent sources --agency H49 --brokers 127.0.0.1:9092 --plain-text --output /etc/vonggac/agent.toml >/dev/null || return 1
  root_run vonggac-agent check-config || return 1
  root_run systemctl start vonggac-agent || return 1
  root_until 30 'vonggac-agent status --format json | grep -q next_seq' || return 1
  [ "$(root_run ps -o user= -C vonggac-agent | tr -d ' ')" = "vonggac-agent" ] || [ "$(root_run ps -o user:20= -C vonggac-agent | tr -d ' ')" = "vonggac-agent" ]
}

# Its own user has no capability at all, and reads the journal or the logs by its groups.
package_capabilities() {
  local pid
  pid=$(root_run systemctl show --value --property MainPID vonggac-agent)
  root_run grep -q '^CapEff:\s*0*$' "/proc/$pid/status" && root_run grep -q '^CapBnd:\s*0*$' "/proc/$pid/status"
}

package_upgrade() {
  local identity config old
  identity=$(root_run md5sum $package_spool/identity) || return 1
  root_run bash -c 'echo "VONGGAC_LOG=debug" >/etc/default/vonggac-agent; echo "# mine" >>/etc/vonggac/agent.toml'
  config=$(root_run md5sum /etc/vonggac/agent.toml /etc/default/vonggac-agent)
  old=$(root_run systemctl show --value --property MainPID vonggac-agent)
  root_run bash -c 'dpkg -i /two/*.deb' || return 1
  [ "$(root_run dpkg-query -W -f '${Version}' vonggac-agent)" = 99.0.0 ] || return 1
  [ "$identity" = "$(root_run md5sum $package_spool/identity)" ] || return 1
  [ "$config" = "$(root_run md5sum /etc/vonggac/agent.toml /etc/default/vonggac-agent)" ] || return 1
  root_until 30 "p=\$(systemctl show --value --property MainPID vonggac-agent); [ \"\$p\" != $old ] && [ \"\$p\" != 0 ] && systemctl is-active --quiet vonggac-agent"
}

package_remove() {
  root_run dpkg -r vonggac-agent || return 1
  ! root_run pgrep -x vonggac-agent || return 1
  ! root_run test -e /usr/bin/vonggac-agent || return 1
  root_run test -e $package_spool/identity && root_run test -e /etc/vonggac/agent.toml
}

package_again() {
  root_run bash -c 'dpkg -i /two/*.deb' && root_until 30 'systemctl is-active --quiet vonggac-agent'
}

package_purge() {
  root_run dpkg -P vonggac-agent || return 1
  local left
  left=$(root_run bash -c 'ls -d /etc/vonggac /etc/default/vonggac-agent /var/lib/vonggac-agent /run/vonggac-agent /usr/share/doc/vonggac-agent /etc/systemd/system/*/vonggac-agent* 2>/dev/null; getent passwd vonggac-agent; getent group vonggac-agent; pgrep -x vonggac-agent')
  [ -z "$left" ] || { echo "left: $left" >&2; return 1; }
}

# Its files, rights and scripts, and that a changed setting survives an upgrade. Its database is one of its own: this is no Red Hat.
package_rpm() {
  root_run bash -c '
    set -e
    mkdir -p /other && rpm --root /other --initdb
    rpm -qp --qf "%{NAME} %{VERSION} %{ARCH}\n" /one/*.rpm
    rpm -qpl /one/*.rpm | grep -x /usr/bin/vonggac-agent
    rpm -qp --configfiles /one/*.rpm | grep -x /etc/sysconfig/vonggac-agent
    for script in post preun postun; do rpm -qp --scripts /one/*.rpm | grep -q "^${script}install scriptlet\|^$script" ; done
    rpm --root /other -i --nodeps --noscripts /one/*.rpm
    /other/usr/bin/vonggac-agent --version
    echo "VONGGAC_LOG=debug" >/other/etc/sysconfig/vonggac-agent
    rpm --root /other -U --nodeps --noscripts /two/*.rpm
    grep -x VONGGAC_LOG=debug /other/etc/sysconfig/vonggac-agent
    rpm --root /other -q vonggac-agent | grep 99.0.0
    rpm --root /other -e --nodeps --noscripts vonggac-agent
    test ! -e /other/usr/bin/vonggac-agent'
}

package_suite() {
  step "a fresh Debian starts" package_ready
  [ -n "$root_pid" ] || return
  step "packages are built, the program is small" package_build "$@"
  step "install: enabled, its own user, waits for a configuration" package_install
  step "systemd's verify is silent, exposure at most 2.0" package_unit
  step "sources, check-config, start, status" package_starts
  step "no capability" package_capabilities
  step "upgrade: configuration, settings and identity stay" package_upgrade
  step "remove: data stays" package_remove
  step "install again: goes on with them" package_again
  step "purge: nothing is left" package_purge
  step "rpm: files, scripts, settings" package_rpm
  root_stop
}
