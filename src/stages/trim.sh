# Runs as root in the guest, before it is turned off for good: gives back what its disks hold and no file needs.
#   $1  auto: discard; zero: fill with zeros what cannot be discarded
# A line for each place: "given back PLACE", "filled with zeros PLACE", "left PLACE: why".
mode=$1
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
has() { command -v "$1" >/dev/null 2>&1; }
sync

# What swap held is nobody's. Its first blocks name it, and stay.
empty_swap() {
    space=$1 kind=$2 size=$3
    swapoff "$space" 2>/dev/null || return 0
    head=$(mktemp /dev/shm/forge-XXXXXX 2>/dev/null || mktemp) || return 0
    dd if="$space" of="$head" bs=64k count=1 2>/dev/null || return 0
    if [ "$kind" = partition ] && has blkdiscard && blkdiscard "$space" 2>/dev/null; then
        how="given back"
    else
        dd if=/dev/zero of="$space" bs=64k seek=1 count=$((size / 64)) conv=notrunc 2>/dev/null
        how="filled with zeros"
    fi
    dd if="$head" of="$space" bs=64k conv=notrunc 2>/dev/null
    rm -f "$head"
    sync
    echo "$how $space"
}

if [ -r /proc/swaps ] && has swapoff; then
    while read -r space kind size _; do
        case $space in
        Filename | /dev/zram* | /dev/ram* | *\\*) ;;
        /*) empty_swap "$space" "$kind" "$size" ;;
        esac
    done </proc/swaps
fi

fill() {
    dd if=/dev/zero of="$1/.forge-zeros" bs=1M 2>/dev/null # ends when it is full
    sync
    rm -f "$1/.forge-zeros"
    sync
}

seen=" "
while read -r device place type options _; do
    case $device in /dev/loop* | /dev/ram* | /dev/zram* | /dev/fd*) continue ;; /dev/*) ;; *) continue ;; esac
    case $type in iso9660 | udf | squashfs | erofs) continue ;; esac
    case ,$options, in *,ro,*) continue ;; esac
    case $place in *\\*) continue ;; esac
    case $seen in *" $device "*) continue ;; esac
    seen="$seen$device "
    if ! has fstrim; then
        why="the guest has no fstrim"
    elif why=$(fstrim "$place" 2>&1); then
        echo "given back $place"
        continue
    fi
    if [ "$mode" = zero ]; then
        fill "$place"
        echo "filled with zeros $place"
    else
        echo "left $place: $(echo "$why" | tail -n 1)"
    fi
done </proc/mounts
exit 0
