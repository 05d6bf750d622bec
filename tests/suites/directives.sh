# shellcheck shell=bash
# Whether a unit means the same to systemd from 208 on: what is not known there, and what is read there in another way. Sourced by tests/run.

# directives FILE...: SECTION.NAME VALUE of each setting, in the order in which systemd reads the files.
directives() {
  awk '/^\[/ { section = substr($0, 2, length($0) - 2); next } /^[#;]/ || !NF { next }
    { at = index($0, "="); print section "." substr($0, 1, at - 1), substr($0, at + 1) }' "$@"
}

# directives_known FILE...: says each setting that would keep the agent from running with an old systemd.
directives_known() {
  local table=tests/suites/directives all wrong=0 name since class with value
  all=$(directives "$@")
  tell() { echo "$*" >&2; wrong=1; }
  for name in $(cut -d' ' -f1 <<<"$all" | sort -u); do
    read -r _ since class with < <(grep "^$name " $table) || { tell "$name: nobody has looked what an old systemd makes of it"; continue; }
    [ "$class" = old ] && { [ "$since" -le 208 ] || tell "$name: known from $since on only"; continue; }
    case $class in
      softer) ;;
      twin)
        grep -q "^$with " <<<"$all" || tell "$name: is not known before $since, and $with does not stand beside it"
        grep -q "^$with [0-9]* old" $table || tell "$with: is no older than $name" ;;
      account) grep -q " $with\$" deploy/packages/account || tell "$name: is not known before $since, and nothing makes $with" ;;
      *) tell "$name: $class is no answer" ;;
    esac
  done

  # A list of allowed calls of which a version knows no set allows nothing. Only what stands after the last empty one counts.
  value=$(sed -n 's/^Service.SystemCallFilter \?//p' <<<"$all" | awk '$0 == "" { split("", kept); count = 0; next } { kept[++count] = $0 } END { for (at = 1; at <= count; at++) print kept[at] }')
  ! grep -v '^~' <<<"$value" || tell "SystemCallFilter: before 239 this list allows nothing"
  grep -q '^~[^@]' <<<"$value" || tell "SystemCallFilter: before 231 nothing is forbidden, as sets are not known there"

  # The whole file system read-only is known three versions earlier than the folder that is left open in it.
  if grep -q '^Service.ProtectSystem strict' <<<"$all"; then
    grep -q '^Service.ReadWritePaths .*/var/lib/vonggac-agent' <<<"$all" || tell "ProtectSystem=strict: from 232 to 234 the spool cannot be written"
    [ "$(grep '^Service.ProtectSystem' <<<"$all" | head -1)" = "Service.ProtectSystem full" ] || tell "ProtectSystem=strict: before 232 nothing is protected"
  fi
  # Marks before the program other than - and @ came with 231, words that stand for folders with 235 and later.
  ! grep -E '^Service\.Exec[A-Za-z]* [-@]*[+!:]' <<<"$all" || tell "ExecStart: its mark is not known before 231"
  ! grep -E '^Service\.(Exec|Environment|ReadWrite)[A-Za-z]* .*%[ESCLTVgGj]' <<<"$all" || tell "its specifier is not known everywhere"
  return $wrong
}

# The unit with what is laid beside it passes, and what once kept agents from starting does not.
directives_suite() {
  local unit=deploy/packages/vonggac-agent.service beside=deploy/packages/old/before-239.conf said told try
  directives_known $unit $beside || return 1
  try=$(mktemp)
  # Without it: the calls, the spool, the restarts.
  if said=$(directives_known $unit 2>&1); then rm "$try"; return 1; fi
  for told in "this list allows nothing" "spool cannot be written" "StartLimitInterval does not stand"; do
    grep -q "$told" <<<"$said" || { echo "not told: $told" >&2; rm "$try"; return 1; }
  done
  # A setting that nobody has looked at, a mark that is too new.
  printf '[Service]\nPrivatePIDs=yes\nExecStartPre=+/bin/true\n' >"$try"
  if said=$(directives_known $unit $beside "$try" 2>&1); then rm "$try"; return 1; fi
  rm "$try"
  grep -q "PrivatePIDs: nobody" <<<"$said" && grep -q "mark is not known" <<<"$said"
}
