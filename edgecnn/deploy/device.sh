#!/bin/sh
# What `edgecnn deploy` does on a device, as root. It is sent over ssh with every command and stays nowhere.
#
#   /var/lib/edgecnn/NAME/releases/RELEASE/   model.tflite, record.json, service.env, before (a name)
#   /var/lib/edgecnn/NAME/current             a link to the release in use
#   /etc/edgecnn/NAME.env                     its settings: this file decides which release the service runs
#   /run/edgecnn-deploy/NAME.env              settings on trial, which the unit reads after those
#
# A release is tried from /run, which is empty after a power cut, and enters /etc only when it has proved to work. Up to
# then the device forgets it by itself; from then on it is in use. `before` has the release that it followed. Settings
# may hold a camera's password: they are root's alone.
#
# stdout is for the program that sent this; stderr for people, the reason of a failure behind "error: ".

# One block, so that a part of this script, which a cut connection may leave, is an error of syntax and runs nothing.
{
set -eu

state=/var/lib/edgecnn
settings=/etc/edgecnn
trials=/run/edgecnn-deploy
units=/etc/systemd/system
edgecnn=/opt/edgecnn/bin/edgecnn
in_use=/opt/edgecnn/current
# How long a service has to stay up after it has started.
settle_s=1
# How long another deployment that is about to end is waited for.
patience_s=3
# How long a release that ran before may take to its first result.
usual_start_s=90

main() {
    # What was begun is ended, one way or the other, when the connection is cut.
    trap '' HUP PIPE
    umask 022
    export LC_ALL=C.UTF-8
    start_s=$usual_start_s incoming='' fresh='' trying='' former='' installed_before='' mark=''
    action=$1
    shift
    case $action in
        examine | deploy | status | logs | rollback | remove) "$action" "$@" ;;
        *) fail "no such action: $action" ;;
    esac
}

# --- What a device is ------------------------------------------------------------------------------------------------

examine() {
    echo "machine=$(uname -m)"
    echo "bits=$(getconf LONG_BIT)"
    echo "board=$(tr -d '\0' 2> /dev/null < /proc/device-tree/model || true)"
    echo "python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null || true)"
    echo "edgecnn=$("$edgecnn" --version 2> /dev/null | cut -d ' ' -f 2)"
    echo "free_bytes=$(free_bytes)"
}

free_bytes() {
    echo $(($(df -Pk /var/lib | awk 'NR == 2 { print $4 }') * 1024))
}

# --- deploy ----------------------------------------------------------------------------------------------------------

# deploy NAME RELEASE START_S RECEIVE_S NEEDED_BYTES keep|replace [VERSION]: the files are a tar archive on stdin.
deploy() {
    use "$1"
    release=$2 start_s=$3 receive_s=$4 needed_bytes=$5 options=$6 version=${7-}
    claim
    check_ownership
    [ "$(free_bytes)" -ge "$needed_bytes" ] ||
        fail "expected $((needed_bytes / 1000000 + 1)) MB free in $state, got $(($(free_bytes) / 1000000)):" \
            'the disk is full; try sudo apt-get clean, or a larger card'
    receive
    install_edgecnn
    write_settings
    check_model
    install_unit
    keep_release
    try "$release" || undo
    commit "$release"
    prune
}

# Settings that somebody wrote by hand are not overwritten.
check_ownership() {
    [ -n "$former" ] || [ ! -s "$settings/$name.env" ] ||
        fail "$settings/$name.env is not of edgecnn deploy's making:" \
            'choose another --name, or move it away on the device'
}

receive() {
    mkdir -p "$home/releases"
    incoming=$(mktemp -d "$home/releases/.incoming.XXXXXX")
    # The other end may be gone without a word.
    complaint=$(unpack 2>&1) ||
        fail "the files did not arrive whole: $(one_line "$complaint"); nothing was changed"
}

unpack() {
    cd "$incoming"
    timeout "$receive_s" tar -x -f - --no-same-owner && sha256sum --check --quiet SHA256SUMS
}

install_edgecnn() {
    installed_before=$(readlink "$in_use" || true)
    if [ -e "$incoming/install/install.sh" ]; then
        # It says itself what went wrong.
        sh "$incoming/install/install.sh" ${version:+"$version"} < /dev/null >&2 9>&- || exit 1
    fi
    rm -rf "$incoming/install"
}

# While the service before still runs; as nobody, like a service, and not as root.
check_model() {
    chmod 755 "$incoming"
    complaint=$(setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \
        "$edgecnn" inspect "$incoming/model.tflite" --json 2>&1 > /dev/null) ||
        fail "$("$edgecnn" --version) on the device cannot use this model: $(last_error "$complaint")"
}

write_settings() {
    umask 077
    {
        echo "MODEL=$home/releases/$release/model.tflite"
        if [ "$options" = keep ] && [ -n "$former" ]; then
            sed '/^MODEL=/d' "$settings/$name.env"
        else
            cat "$incoming/options"
        fi
    } > "$incoming/service.env"
    umask 022
    rm "$incoming/options"
}

install_unit() {
    if ! cmp -s "$incoming/unit" "$units/edgecnn@.service"; then
        cat "$incoming/unit" > "$units/.edgecnn@.service.new"
        replace "$units/.edgecnn@.service.new" "$units/edgecnn@.service"
        systemctl daemon-reload
    fi
    rm "$incoming/unit"
}

# Gives the release its name once all of it is on the disk.
keep_release() {
    rm "$incoming/SHA256SUMS"
    echo "$former" > "$incoming/before"
    sync "$incoming"/* "$incoming"
    mv -T "$incoming" "$home/releases/$release"
    incoming='' fresh=$release
    sync "$home/releases"
}

# --- Trying a release, and what follows ------------------------------------------------------------------------------

try() {
    trying=$1
    # The unit asks for this file, which a first release does not have yet.
    mkdir -p "$settings" && : >> "$settings/$name.env" &&
        ln -sfn "$home/releases/$1/service.env" "$trials/$name.env" && start
}

# Whether the service starts, which a unit of Type=notify has done with its first result, and stays up.
start() {
    systemctl stop "$unit" || return 1
    # Earlier tries do not count against this one.
    systemctl reset-failed "$unit" 2> /dev/null || true
    mark=$(journal | tail -n 1)
    timeout "$start_s" systemctl start "$unit" 2> /dev/null 9>&- || return 1
    process=$(systemctl show --property MainPID "$unit")
    sleep "$settle_s"
    systemctl is-active --quiet "$unit" > /dev/null && [ "$(systemctl show --property MainPID "$unit")" = "$process" ]
}

commit() {
    systemctl enable --quiet "$unit"
    cp "$home/releases/$1/service.env" "$settings/.$name.env.new"
    replace "$settings/.$name.env.new" "$settings/$name.env"
    # In use from here on, whatever happens.
    trying='' fresh='' installed_before=''
    rm -f "$trials/$name.env"
    link "releases/$1" "$home/current"
    echo "release=$1"
}

# Leaves with why the release on trial failed, when the one before runs again.
undo() {
    reason=$(why_it_failed)
    failed=$trying
    if go_back; then
        fail "release $failed does not work: $reason; $outcome"
    fi
    fail "release $failed does not work: $reason; and $outcome"
}

go_back() {
    trying='' start_s=$usual_start_s
    rm -f "$trials/$name.env"
    restore_edgecnn
    if [ -z "$former" ]; then
        rm -f "$settings/$name.env"
        systemctl stop "$unit" || true
        systemctl disable "$unit" 2> /dev/null || true
        outcome="there was none before, so nothing runs"
    elif start; then
        outcome="the one before, $former, runs again"
    else
        outcome="the one before, $former, does not start either: $(why_it_failed)"
        return 1
    fi
}

# The edgecnn that was in use before this deployment, for the release that it was in use with.
restore_edgecnn() {
    if [ -n "$installed_before" ] && [ -e "${in_use%/*}/$installed_before" ]; then
        link "$installed_before" "$in_use"
    fi
    installed_before=''
}

# What the service said since it was started, results apart, which are JSON.
why_it_failed() {
    said=$(journal)
    [ -z "$mark" ] || said=${said#*"$mark"}
    said=$(last_error "$(echo "$said" | sed '/^{/d')")
    echo "${said:-it gave no result within $start_s s}"
}

journal() {
    journalctl --unit "$unit" --lines 50 --output cat --no-pager 2> /dev/null || true
}

# Of the releases, the one in use and the two before it stay.
prune() {
    kept="/$release/$former/$(cat "$home/releases/$former/before" 2> /dev/null || true)/"
    for each in "$home"/releases/*; do
        case $kept in
            */"${each##*/}"/*) ;;
            *) rm -rf "$each" ;;
        esac
    done
}

# --- The other actions -----------------------------------------------------------------------------------------------

rollback() {
    use "$1"
    start_s=$2
    claim
    [ -n "$former" ] || fail "$name is not deployed here: $(what_is_deployed)"
    target=$(cat "$home/releases/$former/before")
    if [ -z "$target" ] || [ ! -e "$home/releases/$target/record.json" ]; then
        fail "$name has no release before $former: deploy the model that it should run"
    fi
    try "$target" || undo
    commit "$target"
}

remove() {
    use "$1"
    claim
    [ -d "$home" ] || fail "$name is not deployed here: $(what_is_deployed)"
    systemctl stop "$unit"
    systemctl disable "$unit" 2> /dev/null
    rm -f "$settings/$name.env" "$trials/$name.env"
    rm -rf "$home"
    systemctl reset-failed "$unit" 2> /dev/null || true
}

# status [NAME]
status() {
    if [ -n "${1-}" ]; then
        use "$1"
        [ -d "$home" ] || fail "$name is not deployed here: $(what_is_deployed)"
        describe
        return
    fi
    for each in $(deployed); do
        use "$each"
        describe
    done
}

describe() {
    echo "service=$name"
    systemctl show "$unit" --property ActiveState --property SubState --property Result --property NRestarts \
        --property StatusText --property UnitFileState
    echo "running_s=$(running_s)"
    echo "current=$(current_release)"
    [ ! -e "$trials/$name.env" ] || echo "trial=yes"
    [ ! -e "$settings/$name.env" ] || sed -n 's/^OPTIONS=/options=/p' "$settings/$name.env"
    for each_record in "$home"/releases/*/record.json; do
        [ ! -e "$each_record" ] || echo "record=$(cat "$each_record")"
    done
}

# How long the service's process has been there, without asking a clock that may have been set since.
running_s() {
    pid=$(systemctl show --property MainPID "$unit" | cut -d = -f 2)
    if [ "${pid:-0}" != 0 ] && [ -e "/proc/$pid/stat" ]; then
        # The program's name comes first, in parentheses, and may hold spaces.
        ticks=$(sed 's/.*) //' "/proc/$pid/stat" | cut -d ' ' -f 20)
        awk -v ticks="$ticks" -v rate="$(getconf CLK_TCK)" '{ printf "%.0f", $1 - ticks / rate }' /proc/uptime
    fi
}

# logs NAME LINES [follow]
logs() {
    use "$1"
    [ -d "$home" ] || fail "$name is not deployed here: $(what_is_deployed)"
    trap - HUP PIPE
    exec journalctl --unit "$unit" --lines "$2" --output cat --no-pager ${3:+--follow}
}

# --- What they share -------------------------------------------------------------------------------------------------

use() {
    name=$1
    unit=edgecnn@$name.service
    home=$state/$name
}

# One at a time works on a name. The lock is the process's: it ends with it.
claim() {
    mkdir -p "$trials"
    chmod 700 "$trials"
    exec 9> "$trials/$name.lock"
    flock -w "$patience_s" 9 || fail "another deployment of $name is at work on this device: wait for its end"
    trap clean_up EXIT
    trap 'exit 143' TERM INT
    former=$(current_release)
    clear_leftovers
}

clean_up() {
    # Not in the middle again.
    trap '' TERM INT
    [ -z "$incoming" ] || rm -rf "$incoming"
    [ -z "$trying" ] || go_back || true
    [ -z "$fresh" ] || rm -rf "$home/releases/$fresh"
    restore_edgecnn
}

# What a deployment left that was killed: files on the way in, settings on trial.
clear_leftovers() {
    rm -rf "$home"/releases/.incoming.* "$home"/current.new.* "$settings/.$name.env.new"
    [ ! -L "$trials/$name.env" ] || go_back || true
}

current_release() {
    [ ! -e "$settings/$name.env" ] ||
        sed -n "s|^MODEL=$home/releases/\([^/]*\)/model\.tflite\$|\1|p" "$settings/$name.env"
}

deployed() {
    for each in "$state"/*/releases; do
        [ ! -d "$each" ] || basename "${each%/releases}"
    done
}

what_is_deployed() {
    list=$(deployed | paste -sd ' ')
    echo "there is ${list:-nothing}"
}

# Puts the file $1 in the place of $2, in one step and for good.
replace() {
    sync "$1"
    mv -fT "$1" "$2"
    sync "${2%/*}"
}

# Points the link $2 at $1; at no moment is there none.
link() {
    ln -sfn "$1" "$2.new.$$" && mv -fT "$2.new.$$" "$2" && sync "${2%/*}"
}

# The last line of $1 that tells of an error, else the last three lines of it.
last_error() {
    found=$(echo "$1" | sed -n 's/^error: //p' | tail -n 1)
    one_line "${found:-$(echo "$1" | tail -n 3)}"
}

one_line() {
    echo "$1" | paste -sd ' '
}

say() {
    echo "$*" >&2 || true
}

fail() {
    say "error: $*"
    exit 1
}

main "$@"
}
