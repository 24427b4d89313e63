# How the script of facts runs its parts beside each other. Plain POSIX sh, busybox is enough.
#
# Set before: N is the mark that starts each record, MAX how many parts may run at once, KEEP how many bytes of a value are kept.
# A part is a function, called by its name $j in a shell of its own; its limit is in a variable of the same name with _limit, in hundredths of a second.
# Its output may hold records; what else it says stands in the record that is called as the part is.
P0=$PATH
COUNT=0
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
has() { command -v "$1" >/dev/null 2>&1; }
# Starts a record.
p() { printf '\n%s %s\n' "$N" "$1"; }
# A record with a value, and one with the reason why there is no value.
say() { p "$1"; printf %s "$2"; }
not() { p "$1!"; printf %s "$2"; }
# The time, in hundredths of a second.
now() {
  { read -r NOW rest </proc/uptime; } 2>/dev/null || NOW=$(date +%s).00
  NOW=${NOW%.*}${NOW#*.}
  NOW=${NOW#0}
  NOW=${NOW#0}
}
scratch() {
  for T in "${TMPDIR:-/tmp}" /tmp /run /dev/shm /var/tmp "${HOME:-/tmp}"; do
    T=$(umask 077 && mktemp -d "$T/forge-facts.XXXXXX" 2>/dev/null) && return
  done
  echo 'no directory can be written to' >&2
  exit 1
}
# Takes one part after the other. Whoever creates its .q file has it.
work() {
  set -C
  trap : USR1
  for j in $PARTS; do
    # to look is cheaper than to try in vain
    [ ! -e "$T/$j.q" ] || continue
    { true >"$T/$j.q"; } 2>/dev/null || continue
    now
    begun=$NOW
    eval "limit=\$${j}_limit"
    (set +C; ulimit -f 524288; "$j") >|"$T/$j.o" 2>|"$T/$j.e" </dev/null &
    pid=$!
    echo "$pid $j $((begun + limit)) $limit" >|"$T/w$1"
    wait $pid
    status=$?
    true >|"$T/w$1"
    now
    echo "$status $((NOW - begun))" >|"$T/$j.s"
  done
}
# $all becomes the process $1 and all that descends from it.
descent() {
  all=" $1 "
  while :; do
    more=
    for f in /proc/[0-9]*/stat; do
      { read -r line <"$f"; } 2>/dev/null || continue
      id=${line%% *}
      case "$all" in *" $id "*) continue ;; esac
      set -- ${line##*) }
      case "$all" in *" $2 "*) more="$more$id " ;; esac
    done
    [ -n "$more" ] || break
    all="$all$more"
  done
}
# Ends what takes too long; what cannot be ended is left behind. Parts with short limits begin first: what will begin meanwhile has
# no shorter one than what runs, so that there is time to sleep. Each look costs a process.
watch() {
  trap 'kill $nap 2>/dev/null; exit' TERM
  fine=
  sleep 0.01 2>/dev/null && fine=y
  tick=10
  while :; do
    if [ -z "$fine" ] || [ $tick -ge 100 ]; then sleep 1 & else sleep 0.$tick & fi
    nap=$!
    wait $nap || break
    now
    tick=100
    for w in "$T"/w*; do
      { read -r pid j due limit <"$w"; } 2>/dev/null && [ -n "$due" ] || {
        # it begins something
        tick=10
        continue
      }
      left=$((due - NOW))
      [ $left -le "$limit" ] || left=$limit
      [ $left -ge 10 ] || left=10
      [ $left -ge $tick ] || tick=$left
      [ "$NOW" -ge "$due" ] || continue
      true >"$T/$j.t"
      descent "$pid"
      if [ "$NOW" -ge $((due + 300)) ]; then
        read -r worker <"$T/p${w##*/w}" && kill -USR1 "$worker" 2>/dev/null
      elif [ "$NOW" -ge $((due + 100)) ]; then
        kill -KILL $all 2>/dev/null
      else
        kill -TERM $all 2>/dev/null
      fi
    done
  done
}
# Runs all parts and prints what they have said.
run() {
  scratch
  trap 'kill $watcher 2>/dev/null; rm -rf "$T"' EXIT
  trap 'exit 143' HUP INT TERM
  cpus=0
  while read -r line; do
    case $line in cpu[0-9]*) cpus=$((cpus + 1)) ;; esac
  done </proc/stat 2>/dev/null
  [ $((cpus * 5)) -ge "$MAX" ] || [ $cpus = 0 ] || MAX=$((cpus * 5))
  set -- $PARTS
  [ $# -ge "$MAX" ] || MAX=$#
  (trap - EXIT HUP INT TERM; watch) </dev/null >/dev/null 2>&1 &
  watcher=$!
  n=0
  workers=
  while [ $n -lt "$MAX" ]; do
    n=$((n + 1))
    (trap - EXIT HUP INT TERM; work $n) </dev/null >/dev/null 2>&1 &
    echo $! >"$T/p$n"
    workers="$workers $!"
  done
  wait $workers
  kill $watcher 2>/dev/null
  long=$(find "$T" -name 'q*.[oe]' -size +$((KEEP / 512)) 2>/dev/null)
  set --
  for j in $PARTS; do
    status='none 0'
    { read -r status <"$T/$j.s"; } 2>/dev/null
    late=
    [ ! -e "$T/$j.t" ] || late=' late'
    { say "$j.s" "$status$late"; p "$j"; } >"$T/$j.1"
    p "$j.e" >"$T/$j.2"
    for s in o e; do
      case "$long" in *"/$j.$s"*) not "$j.$s" long >"$T/$j.$s.h"; rm -f "$T/$j.$s"; mv "$T/$j.$s.h" "$T/$j.$s" ;; esac
    done
    set -- "$@" "$T/$j.1" "$T/$j.o" "$T/$j.2" "$T/$j.e"
  done
  cat -- "$@"
  p end
}
