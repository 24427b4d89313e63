# What the parts of the script of facts are made of. Each function's first word is the number of the question.
#
# Whether $P exists: y, n, or why that cannot be told, as lstat would put it. No process is started.
file() {
  case $P in '~'*)
    u=${P%%/*}
    not "$1.x" "user: unknown user ${u#?}"
    return 1
    ;;
  esac
  if [ -e "$P" ] || [ -L "$P" ]; then
    say "$1.x" y
    return 0
  fi
  d=$P
  while :; do
    case $d in
    */*) d=${d%/*} ;;
    *) d=. ;;
    esac
    [ -n "$d" ] || d=/
    if [ ! -e "$d" ]; then
      [ "$d" = / ] || [ "$d" = . ] || continue
      not "$1.x" "lstat $P: permission denied"
    elif [ ! -d "$d" ]; then
      not "$1.x" "lstat $P: not a directory"
    elif [ ! -x "$d" ]; then
      not "$1.x" "lstat $P: permission denied"
    else
      say "$1.x" n
    fi
    return 1
  done
}
# lstat of all these, a line for each.
lstat() {
  [ $# -gt 0 ] || return 0
  form='%f %s %u %g %U %G'
  if ! has stat; then
    not lstat 'there is no stat here'
    return
  fi
  out=$(stat -c "$form" -- "$@" 2>/dev/null)
  want=$#
  p lstat
  if [ "$(printf '%s\n' "$out" | grep -c .)" = "$want" ]; then
    printf '%s\n' "$out"
  else
    for P; do stat -c "$form" -- "$P" 2>/dev/null || echo -; done
  fi
}
link() {
  [ -L "$P" ] || return 0
  if has readlink; then
    p "$1.l"
    readlink -n -- "$P"
  else
    not "$1.l" 'there is no readlink here'
  fi
}
# Whether the content of $P can be read; if not, the reason is the record $1.
readable() {
  if [ -d "$P" ]; then
    not "$1" "read $P: is a directory"
  elif [ ! -e "$P" ]; then
    not "$1" "open $P: no such file or directory"
  elif [ ! -r "$P" ]; then
    not "$1" "open $P: permission denied"
  elif [ -p "$P" ] || [ -S "$P" ] || { [ -c "$P" ] && [ ! "$P" -ef /dev/null ]; } || [ -b "$P" ]; then
    not "$1" "$P is no regular file: it is not read"
  else
    return 0
  fi
  return 1
}
# The record $1 begins, in the file $M: what comes behind it is read together with much else, by one process.
begin() {
  COUNT=$((COUNT + 1))
  M=$T/$j.m$COUNT
  p "$1" >|"$M"
}
# Whether the content of $P is read with others.
content() {
  readable "$1" || return 1
  if [ -s "$P" ]; then
    begin "$1"
    return
  fi
  # what has no size may have no end: some of the kernel's files
  p "$1"
  head -c $((KEEP + 1)) <"$P"
  return 1
}
# Begun records and their files, one after the other.
pour() {
  if long=$(find -L "$@" -prune -size +$((KEEP / 512)) 2>/dev/null) && [ -z "$long" ]; then
    cat -- "$@"
    return
  fi
  while [ $# -gt 0 ]; do
    cat -- "$1"
    head -c $((KEEP + 1)) <"$2"
    shift 2
  done
}
# Whether the sum of $P is made with others; then the question stands in $IDS.
summed() {
  readable "$1.$2" && IDS="$IDS $1"
}
# The sums of the files of all $IDS.
sums() {
  name=$1
  shift
  if ! has "${name}sum"; then
    for id in $IDS; do not "$id.$name" "there is no ${name}sum here"; done
    return
  fi
  out=$("${name}sum" -- "$@" 2>/dev/null)
  if [ "$(printf '%s\n' "$out" | grep -c .)" = $# ]; then
    # a name in which something is escaped has a mark before its line
    printf '%s\n' "$out" | for id in $IDS; do
      read -r line
      say "$id.$name" "${line#\\}"
    done
    return
  fi
  for id in $IDS; do
    p "$id.$name"
    "${name}sum" <"$1"
    shift
  done
}
# Whether the file $P of the system is there to be read, under its own name.
whole() {
  [ -e "$P" ] || return 1
  if [ -r "$P" ]; then
    begin "$P"
  else
    not "$P" "open $P: permission denied"
    return 1
  fi
}
# The authorities that the system trusts.
authorities() {
  for f in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem \
    /etc/pki/tls/cacert.pem /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /etc/ssl/cert.pem; do
    if [ -r "$f" ]; then
      p authorities
      cat "$f"
      return
    fi
  done
}
# Whether the kernel has the value $P. It gives some of them only in one read, from the start: a shell's own reading is not that.
parameter() {
  if [ -d "$P" ] || ! { true <"$P"; } 2>/dev/null; then
    not "$1" 'could not find the given key'
    return 1
  fi
  begin "$1"
}
processes() {
  if [ -r /proc/self/stat ]; then
    p comm
    cat /proc/[0-9]*/comm 2>/dev/null
  else
    not comm '/proc cannot be read'
  fi
}
sockets() {
  if [ -r /proc/net/tcp ] || [ -r /proc/net/tcp6 ]; then
    set --
    for f in tcp tcp6 udp udp6; do
      begin "net.$f"
      set -- "$@" "$M"
      [ ! -r "/proc/net/$f" ] || set -- "$@" "/proc/net/$f"
    done
    cat "$@"
  else
    for f in tcp tcp6 udp udp6; do not "net.$f" '/proc/net cannot be read'; done
  fi
}
interfaces() {
  p links
  for d in /sys/class/net/*; do
    mtu=
    { read -r mtu <"$d/mtu"; } 2>/dev/null
    [ -z "$mtu" ] || printf '%s %s\n' "${d##*/}" "$mtu"
  done
  if has ip; then
    p addresses
    ip -o addr
  elif has ifconfig; then
    p ifconfig
    ifconfig -a
  else
    not addresses 'there is neither ip nor ifconfig here'
  fi
}
usage() {
  if has stat; then stat -f -c '%b %f' -- "$1"; else echo 'there is no stat here' >&2; fi
}
names() {
  if has getent; then getent ahosts "$1"; else exit 99; fi
}
# dial [NUMBER HOST PORT]... : whether they accept connections, all asked at once: a line for each that has an answer. Without bash,
# it must be asked otherwise.
dial() {
  has bash || exit 99
  # a bash below an SSH server takes the login's start files for its own; a line is written whole, more is not
  exec bash --norc -c 'while [ $# -ge 3 ]; do
  {
    said=n
    { true 3<>"/dev/tcp/$2/$3"; } 2>/dev/null && said=y
    echo "$1 $said"
  } &
  shift 3
done
wait' - "$@"
}
# Whether $2:$3 accepts a connection from $1: 0 or not; 99: it must be asked otherwise.
reach() {
  has nc || exit 99
  nc -z -s "$1" "$2" "$3"
}
environment() {
  p proxies
  printf '%s\n' "${HTTP_PROXY:-$http_proxy}" "${HTTPS_PROXY:-$https_proxy}" "${NO_PROXY:-$no_proxy}"
}
