# What the checks' script is made of; lines that call these functions follow. Plain POSIX sh, busybox is enough.
# N is the mark that starts each record. Every function takes the key's first part, the check's number.
# p KEY : starts a record.      f KEY COMMAND... : a record with the command's output, or with its complaint as KEY!.
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
p() { printf '\n%s %s\n' "$N" "$1"; }
f() {
  key=$1
  shift
  if out=$("$@" 2>&1); then p "$key"; else p "$key!"; fi
  printf %s "$out"
}
yes() { p "$1"; printf true; }
no() { p "$1"; printf false; }
file() {
  if out=$(ls -d -- "$2" 2>&1); then
    yes "$1.exists"
    f "$1.stat" stat -c '%a %s %u %g %U %G %F' -- "$2"
    if [ -L "$2" ]; then f "$1.linked-to" readlink -- "$2"; else p "$1.linked-to!"; printf 'it is no link'; fi
  else
    case $out in
    *'o such file'* | *'ot a directory'*) no "$1.exists" ;;
    *) p "$1.exists!"; printf %s "$out" ;;
    esac
  fi
}
contents() {
  [ -e "$2" ] || return
  if [ -f "$2" ] && [ -r "$2" ]; then
    p "$1.contents"
    cat -- "$2" 2>/dev/null || { p "$1.contents!"; printf 'reading it fails'; }
  else
    p "$1.contents!"
    printf 'it cannot be read'
  fi
}
sum() {
  if [ -e "$3" ]; then f "$1.$2" "$2sum" -- "$3"; fi
}
net() {
  if [ -r "/proc/net/$1" ]; then f "net.$1" cat "/proc/net/$1"
  elif [ -r /proc/net/tcp ]; then p "net.$1"
  else p "net.$1!"; printf '/proc/net cannot be read'
  fi
}
processes() {
  out=$(cat /proc/[0-9]*/comm 2>/dev/null)
  if [ -n "$out" ]; then p comm; printf %s "$out"; else p comm!; printf '/proc cannot be read'; fi
}
has_process() {
  short=$(printf '%.15s' "$1")
  for c in /proc/[0-9]*/comm; do
    { read -r comm <"$c"; } 2>/dev/null && [ "$comm" = "$short" ] && return 0
  done
  return 1
}
ask() {
  key=$1
  out=$(systemctl "$2" -- "$3" 2>&1) && { yes "$key"; return; }
  case $out in
  *'ailed to connect'* | *'not been booted'* | *'ccess denied'*) p "$key!"; printf %s "$out" ;;
  *) no "$key" ;;
  esac
}
service() {
  case $2 in */*) no "$1.enabled"; no "$1.running"; return ;; esac
  if [ -d /run/systemd/system ] && command -v systemctl >/dev/null; then
    ask "$1.enabled" is-enabled "$2"
    ask "$1.running" is-active "$2"
    return
  fi
  if command -v rc-service >/dev/null; then
    on=false
    for l in /etc/runlevels/*/"$2"; do [ -e "$l" ] && on=true; done
    p "$1.enabled"; printf %s $on
    if rc-service "$2" status >/dev/null 2>&1; then yes "$1.running"; else no "$1.running"; fi
    return
  fi
  if [ ! -d /etc/init.d ]; then
    p "$1.enabled!"; printf 'no init system is known here (systemd, OpenRC or /etc/init.d)'
    if has_process "$2"; then yes "$1.running"; else p "$1.running!"; printf 'no init system is known here'; fi
    return
  fi
  on=false
  for l in /etc/rc[2345S].d/S[0-9][0-9]"$2" /etc/init.d/S[0-9][0-9]"$2"; do [ -x "$l" ] && on=true; done
  grep -Eq "^[^#]*:respawn:(/etc/init.d/)?([^ ]*/)?$2( |\$)" /etc/inittab 2>/dev/null && on=true
  p "$1.enabled"; printf %s $on
  for s in "/etc/init.d/$2" /etc/init.d/S[0-9][0-9]"$2"; do
    [ -x "$s" ] && grep -q status "$s" && "$s" status >/dev/null 2>&1 </dev/null && { yes "$1.running"; return; }
  done
  if has_process "$2"; then yes "$1.running"; else no "$1.running"; fi
}
package() {
  # busybox has an rpm and a dpkg of its own: it is the database that tells
  if [ -e /var/lib/dpkg/status ] && command -v dpkg-query >/dev/null; then
    p "$1.package"; dpkg-query -f '${Status} ${Version}\n' -W "$2" 2>/dev/null | sed -n 's/^\(install\|hold\) ok installed //p'
  elif [ -e /var/lib/rpm ] && command -v rpm >/dev/null; then
    p "$1.package"; rpm -q --qf '%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\n' "$2" 2>/dev/null || { p "$1.package"; }
  elif [ -e /lib/apk/db ] && command -v apk >/dev/null; then
    p "$1.package"; apk info -e -v "$2" 2>/dev/null | sed "s/^$2-//"
  elif [ -e /var/lib/pacman ] && command -v pacman >/dev/null; then
    p "$1.package"; pacman -Q "$2" 2>/dev/null | sed 's/^[^ ]* //'
  else
    p "$1.package!"; printf 'no package manager is known here (dpkg, rpm, apk, pacman)'
  fi
}
