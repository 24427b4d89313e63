# Packages. busybox has an rpm and a dpkg of its own: it is the database that tells which manager a system has.
manages() {
  case $1 in
  dpkg) [ -e /var/lib/dpkg/status ] && has dpkg-query ;;
  rpm) { [ -e /var/lib/rpm ] || [ -e /usr/lib/sysimage/rpm ]; } && has rpm ;;
  apk) [ -e /lib/apk/db ] && has apk ;;
  pacman) [ -e /var/lib/pacman ] && has pacman ;;
  *) false ;;
  esac
}
manager() {
  distribution
  case $DISTRO in
  ubuntu | debian) set -- dpkg rpm apk pacman ;;
  redhat) set -- rpm dpkg apk pacman ;;
  alpine) set -- apk dpkg rpm pacman ;;
  arch) set -- pacman dpkg rpm apk ;;
  *) set -- dpkg rpm apk pacman ;;
  esac
  for MANAGER; do manages "$MANAGER" && return; done
  MANAGER=
}
# The versions of one package, a line each.
versions() {
  case $MANAGER in
  dpkg) dpkg-query -f '${Status} ${Version}\n' -W "$1" 2>"$T/packages.err" | sed -n 's/^\(install\|hold\) ok installed //p' ;;
  rpm) out=$(rpm -q --nosignature --nohdrchk --nodigest --qf '%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\n' "$1" 2>"$T/packages.err") && printf '%s\n' "$out" ;;
  apk) apk info -e -v "$1" 2>/dev/null | while read -r line; do printf '%s\n' "${line#"$1"-}"; done ;;
  pacman) out=$(pacman -Q --color never "$1" 2>"$T/packages.err") && printf '%s\n' "${out#* }" ;;
  esac
}
# Versions of many packages: `name version` lines.
installed() {
  case $MANAGER in
  dpkg) dpkg-query -f '${Package} ${Status} ${Version}\n' -W "$@" 2>"$T/packages.err" | sed -n 's/^\([^ ]*\) \(install\|hold\) ok installed /\1 /p' ;;
  pacman) pacman -Q --color never "$@" 2>"$T/packages.err" ;;
  esac
}
# all_packages MANAGER [NUMBER NAME]... : MANAGER is - for the system's own.
all_packages() {
  asked=$1
  shift
  if [ "$asked" = - ]; then manager; else MANAGER=$asked; fi
  if [ -z "$MANAGER" ] || ! manages "$MANAGER"; then
    reason='no package manager is known here (dpkg, rpm, apk, pacman)'
    [ "$asked" = - ] || reason="$asked manages no packages here"
    while [ $# -gt 0 ]; do not "$1.versions" "$reason"; shift 2; done
    return
  fi
  pairs=
  count=0
  case $MANAGER in
  dpkg | pacman)
    plain=
    for word; do
      if [ $((count % 2)) = 0 ]; then id=$word; else
        case $word in
        *[!a-z0-9+.-]* | -* | '') ;;
        *)
          pairs="$pairs $id.$word"
          # pacman tells twice what it is asked twice
          case "$plain " in *" $word "*) ;; *) plain="$plain $word" ;; esac
          ;;
        esac
      fi
      count=$((count + 1))
    done
    # these words have no spaces and no patterns
    [ -z "$plain" ] || { p "installed.$asked"; installed $plain; }
    ;;
  esac
  while [ $# -gt 0 ]; do
    case " $pairs " in
    *" $1.$2 "*) p "$1.versions@" ;;
    *) p "$1.versions"; versions "$2" ;;
    esac
    shift 2
  done
}
