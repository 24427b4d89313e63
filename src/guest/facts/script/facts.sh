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
  elif [ -p "$P" ] || [ -S "$P" ] || { [ -c "$P" ] && [ "$P" != /dev/null ]; } || [ -b "$P" ]; then
    not "$1" "$P is no regular file: it is not read"
  else
    return 0
  fi
  return 1
}
content() {
  readable "$1" || return 0
  p "$1"
  head -c $((KEEP + 1)) <"$P"
}
sum() {
  readable "$1" || return 0
  if has "$2"; then
    p "$1"
    "$2" <"$P"
  else
    not "$1" "there is no $2 here"
  fi
}
# A whole file of the system, under its own name; nothing if there is none.
whole() {
  [ -e "$1" ] || return 0
  if [ -r "$1" ]; then
    p "$1"
    cat "$1"
  else
    not "$1" "open $1: permission denied"
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
parameter() {
  if ! { true <"/proc/sys/$2"; } 2>/dev/null; then
    not "$1" 'could not find the given key'
    return
  fi
  p "$1"
  # in one read: the kernel gives some of them only from the start
  printf '%s\n' "$(cat "/proc/sys/$2" 2>/dev/null)"
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
    for f in tcp tcp6 udp udp6; do
      p "net.$f"
      [ ! -r "/proc/net/$f" ] || cat "/proc/net/$f"
    done
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
# Whether $1:$2 accepts a connection from $3 (may be empty): 0 or not; 99: it must be asked otherwise.
reach() {
  if [ -n "$3" ]; then
    has nc || exit 99
    nc -z -s "$3" "$1" "$2"
  elif has bash; then
    bash -c 'exec 3<>"/dev/tcp/$1/$2"' - "$1" "$2"
  else
    exit 99
  fi
}
environment() {
  p proxies
  printf '%s\n' "${HTTP_PROXY:-$http_proxy}" "${HTTPS_PROXY:-$https_proxy}" "${NO_PROXY:-$no_proxy}"
}
