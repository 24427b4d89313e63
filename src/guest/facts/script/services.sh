# Services, as goss looks at them.
distribution() {
  DISTRO=
  { while read -r line; do case $line in *Ubuntu*) DISTRO=ubuntu ;; esac done </etc/lsb-release; } 2>/dev/null
  [ -z "$DISTRO" ] || return 0
  if [ -e /etc/redhat-release ] || [ -e /etc/system-release ]; then DISTRO=redhat
  elif [ -e /etc/alpine-release ]; then DISTRO=alpine
  elif [ -e /etc/arch-release ]; then DISTRO=arch
  elif [ -e /etc/debian_version ]; then DISTRO=debian
  fi
}
has_process() {
  for c in /proc/[0-9]*/comm; do
    { read -r comm <"$c"; } 2>/dev/null && [ "$comm" = "$1" ] && return 0
  done
  return 1
}
# Runs an init script's status, by `service` or without it.
status() {
  if has service; then
    service "$1" status 2>&1
  elif has rc-service; then
    rc-service "$1" status 2>&1
  else
    for s in "/etc/init.d/$1" /etc/init.d/S[0-9][0-9]"$1"; do
      [ -x "$s" ] && grep -q status "$s" && { "$s" status 2>&1; return; }
    done
    has_process "$1"
  fi
}
sysv_levels() {
  for l in /etc/rc*.d/S[0-9][0-9]"$1"; do
    [ -e "$l" ] || [ -L "$l" ] || continue
    l=${l#*/rc}
    case ${l%%.d/*} in *[!0-9]* | '') ;; *) printf '%s\n' "${l%%.d/*}" ;; esac
  done
}
# What starts a service where there is neither a runlevel nor a service manager.
small_init() {
  for l in /etc/rcS.d/S[0-9][0-9]"$1" /etc/init.d/S[0-9][0-9]"$1"; do [ -x "$l" ] && return 0; done
  grep -Eq "^[^#]*:respawn:(/etc/init.d/)?([^ ]*/)?$1( |\$)" /etc/inittab 2>/dev/null
}
sysv() {
  levels=$(sysv_levels "$2")
  on=n
  if [ -n "$levels" ]; then on=y; elif ! has service && small_init "$2"; then on=y; fi
  say "$1.enabled" $on
  say "$1.runlevels" "$levels"
  if status "$2" >/dev/null; then say "$1.running" y; else say "$1.running" n; fi
}
openrc() {
  levels=
  for l in /etc/runlevels/*/"$2"; do
    [ -e "$l" ] || [ -L "$l" ] || continue
    l=${l#/etc/runlevels/}
    levels="$levels${l%%/*}
"
  done
  if [ -n "$levels" ]; then say "$1.enabled" y; else say "$1.enabled" n; fi
  say "$1.runlevels" "$levels"
  if status "$2" >/dev/null; then say "$1.running" y; else say "$1.running" n; fi
}
upstart() {
  on=n
  if grep -q '^manual' "/etc/init/$2.override" 2>/dev/null; then
    on=n
  elif grep -q '^[[:space:]]*start on' "/etc/init/$2.conf" 2>/dev/null || [ -n "$(sysv_levels "$2")" ]; then
    on=y
  fi
  say "$1.enabled" $on
  say "$1.runlevels" "$(sysv_levels "$2")"
  out=$(status "$2") && case $out in *running* | *online*) true ;; *) false ;; esac
  if [ $? = 0 ]; then say "$1.running" y; else say "$1.running" n; fi
}
# Asks systemctl $1 for each service of "$@" (number, name, ...): at once if a line comes for each, else one by one.
systemctl_all() {
  verb=$1
  suffix=$2
  good=$3
  shift 3
  ids=
  count=0
  for word; do
    shift
    if [ $((count % 2)) = 0 ]; then ids="$ids $word"; else set -- "$@" "$word"; fi
    count=$((count + 1))
  done
  out=$(systemctl "$verb" -- "$@" 2>"$T/systemctl.err")
  if [ "$(printf '%s\n' "$out" | grep -c .)" = $# ]; then
    for id in $ids; do
      state=${out%%"
"*}
      out=${out#*"
"}
      case " $good " in *" $state "*) say "$id.$suffix" y ;; *) say "$id.$suffix" n ;; esac
    done
    return
  fi
  for id in $ids; do
    systemctl_one "$verb" "$suffix" "$id" "$1"
    shift
  done
}
systemctl_one() {
  if out=$(systemctl "$1" -- "$4" 2>&1); then
    say "$3.$2" y
    return
  fi
  case $out in
  *'ailed to connect'* | *'ccess denied'* | *'ransport endpoint'*)
    # without a running systemd, nothing runs under it
    if [ -d /run/systemd/system ]; then not "$3.$2" "$out"; else say "$3.$2" n; fi
    ;;
  *) say "$3.$2" n ;;
  esac
}
legacy_systemd() {
  version=
  { read -r version </etc/debian_version; } 2>/dev/null
  case $version in [1-8].*) return 0 ;; esac
  return 1
}
systemd() {
  if legacy_systemd; then
    while [ $# -gt 0 ]; do
      if systemctl -q is-enabled -- "$2" 2>/dev/null || [ -n "$(sysv_levels "$2")" ]; then say "$1.enabled" y; else say "$1.enabled" n; fi
      if systemctl -q is-active -- "$2" 2>/dev/null || service "$2" status >/dev/null 2>&1; then say "$1.running" y; else say "$1.running" n; fi
      shift 2
    done
    return
  fi
  systemctl_all is-active running 'active reloading refreshing' "$@"
  # init scripts are asked about elsewhere, and their lines come first; patterns stand for more than one
  count=$#
  while [ "$count" -gt 0 ]; do
    case $2 in
    *[!A-Za-z0-9:_.@-]*) systemctl_one is-enabled enabled "$1" "$2" ;;
    *)
      if [ -e "/etc/init.d/${2%.service}" ]; then
        systemctl_one is-enabled enabled "$1" "$2"
      else
        set -- "$@" "$1" "$2"
      fi
      ;;
    esac
    shift 2
    count=$((count - 2))
  done
  [ $# = 0 ] || systemctl_all is-enabled enabled 'enabled enabled-runtime static alias indirect generated' "$@"
}
# Number, name, number, name, ... without slashes.
all_services() {
  distribution
  if has systemctl || [ "$DISTRO" = arch ]; then
    systemd "$@"
    return
  fi
  how=sysv
  if [ "$DISTRO" = ubuntu ]; then how=upstart; elif [ "$DISTRO" = alpine ] || has rc-service; then how=openrc; fi
  while [ $# -gt 0 ]; do
    $how "$1" "$2"
    shift 2
  done
}
