# The kickstart file: the commands that matter here become KS_ variables, the sections files below /run/sections.

KS_HOSTNAME=forge
KS_END=
KS_FS=ext4
KS_BOOT_ARGUMENTS=
KS_PASSWORD=
KS_PASSWORD_HASH=
KS_PACKAGES=
KS_DISK=
KS_USERS= # one line of arguments for each user command
KS_POST_COUNT=0
SECTIONS=/run/sections

read_kickstart() {
    mkdir -p $SECTIONS
    section=
    while IFS= read -r line || [ -n "$line" ]; do
        line=${line%$(printf '\r')}
        case $line in
            %packages*) section=packages ;;
            %pre*) open_section pre ;;
            %post*)
                KS_POST_COUNT=$((KS_POST_COUNT + 1))
                case $line in
                    *--nochroot*) open_section post$KS_POST_COUNT.nochroot ;;
                    *) open_section post$KS_POST_COUNT ;;
                esac
                ;;
            %end*) section= ;;
            *) read_line ;;
        esac
    done </run/ks.cfg
    [ -n "$KS_PASSWORD$KS_PASSWORD_HASH" ] || die "the kickstart has no rootpw"
    case $KS_FS in
        ext2 | ext3 | ext4) ;;
        *)
            say "warning: no $KS_FS here, ext4 instead"
            KS_FS=ext4
            ;;
    esac
}

open_section() {
    section=$SECTIONS/$1
    : >"$section"
}

read_line() {
    case $section in
        packages)
            case $line in
                '' | \#* | @* | -* | %*) ;;
                *) KS_PACKAGES="$KS_PACKAGES $line" ;;
            esac
            ;;
        /*) printf '%s\n' "$line" >>"$section" ;;
        *)
            case $line in
                '' | \#*) ;;
                *) read_command ;;
            esac
            ;;
    esac
}

# Split as anaconda does: quotes hold together, and nothing is expanded (a hash is full of dollar signs). xargs does that.
read_command() {
    words=$(printf '%s\n' "$line" | sed 's/[[:space:]]#.*//' | xargs -n1 printf '%s\n')
    set -f
    IFS='
'
    # shellcheck disable=SC2086  # one word a line
    set -- $words
    unset IFS
    set +f
    [ $# -gt 0 ] || return
    command=$1
    shift
    case $command in
        rootpw) read_rootpw "$@" ;;
        hostname) KS_HOSTNAME=$1 ;;
        network | bootloader | part | logvol) read_options "$@" ;;
        user) KS_USERS="$KS_USERS$(printf '%s\t' "$@")
" ;;
        reboot | poweroff | halt | shutdown) KS_END=$command ;;
        auth | authconfig | authselect | autopart | autostep | cdrom | clearpart | cmdline | eula | firewall | firstboot | \
            graphical | group | ignoredisk | install | keyboard | lang | repo | selinux | services | skipx | sshkey | text | \
            timezone | unsupported_hardware | url | volgroup | zerombr) ;;
        *) say "warning: unknown kickstart command: $command" ;;
    esac
}

read_rootpw() {
    crypted=
    for word; do
        case $word in
            --iscrypted) crypted=yes ;;
            --*) ;;
            *) if [ -n "$crypted" ]; then KS_PASSWORD_HASH=$word; else KS_PASSWORD=$word; fi ;;
        esac
    done
}

read_options() {
    while [ $# -gt 0 ]; do
        case $1 in
            --hostname=*) KS_HOSTNAME=${1#*=} ;;
            --append=*) KS_BOOT_ARGUMENTS=${1#*=} ;;
            --fstype=swap | --fstype=efi | --fstype=biosboot) ;;
            --fstype=*) KS_FS=${1#*=} ;;
            --ondisk=*) KS_DISK=/dev/${1#*=} ;;
        esac
        shift
    done
}

run_pre_script() {
    [ -f $SECTIONS/pre ] || return 0
    say "%pre"
    sh $SECTIONS/pre || die "%pre ended with $?"
}

run_post_scripts() {
    number=1
    while [ $number -le $KS_POST_COUNT ]; do
        if [ -f $SECTIONS/post$number ]; then
            say "%post $number"
            run_in_target $SECTIONS/post$number /root/ks-post$number.log
        else
            say "%post $number --nochroot"
            sh $SECTIONS/post$number.nochroot || die "%post $number ended with $?"
        fi
        number=$((number + 1))
    done
}

# run_in_target SCRIPT LOG
run_in_target() {
    cp "$1" /mnt/root/.ks-script
    chroot /mnt /bin/bash /root/.ks-script >"/mnt$2" 2>&1
    status=$?
    rm -f /mnt/root/.ks-script
    if [ $status != 0 ]; then
        tail -5 "/mnt$2"
        die "%post ended with $status"
    fi
}
