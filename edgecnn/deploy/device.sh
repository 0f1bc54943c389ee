#!/bin/sh
# The part of `edgecnn deploy` that runs on a device, as root. It is sent over ssh with every command and is not stored.
#
#   /var/lib/edgecnn/NAME/releases/RELEASE/   model.tflite, record.json, service.env, before (name of a release)
#   /var/lib/edgecnn/NAME/current             link to the release in use
#   /etc/edgecnn/NAME.env                     its settings: this file decides which release the service runs
#   /run/edgecnn-deploy/NAME.env              settings on trial; the unit reads them after those above
#
# A release is tried from /run, which is empty after a power cut, and its settings are copied to /etc only when it has
# proved to work. Until then the device forgets it automatically; from then on it is in use. `before` names the release
# that it replaced. Settings may contain a camera's password, so only root may read them.
#
# stdout is for the program that sent this script. stderr is for people; "error: " precedes the reason of a failure.

# One block, so that an incomplete script, which a cut connection may leave, is a syntax error and runs nothing.
{
set -eu

state=/var/lib/edgecnn
settings=/etc/edgecnn
trials=/run/edgecnn-deploy
units=/etc/systemd/system
edgecnn=/opt/edgecnn/bin/edgecnn
in_use=/opt/edgecnn/current
# Seconds that a service must stay up after it has started.
settle_s=1
# Seconds to wait for another deployment that is about to end.
patience_s=3
# Seconds that a previous release may take until its first result.
usual_start_s=90

main() {
    # Complete or revert the action even if the connection is cut.
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

# --- Facts about the device ------------------------------------------------------------------------------------------

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

# deploy NAME RELEASE START_S RECEIVE_S NEEDED_BYTES keep|replace [VERSION], with the files as a tar archive on stdin.
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

# Do not overwrite settings that somebody wrote by hand.
check_ownership() {
    [ -n "$former" ] || [ ! -s "$settings/$name.env" ] ||
        fail "$settings/$name.env was not written by edgecnn deploy:" \
            'choose another --name, or move that file away on the device'
}

receive() {
    mkdir -p "$home/releases"
    incoming=$(mktemp -d "$home/releases/.incoming.XXXXXX")
    # The sender may vanish without closing the connection.
    problem=$(unpack 2>&1) ||
        fail "the files arrived incomplete: $(one_line "$problem"); nothing was changed"
}

unpack() {
    cd "$incoming"
    timeout "$receive_s" tar -x -f - --no-same-owner && sha256sum --check --quiet SHA256SUMS
}

install_edgecnn() {
    installed_before=$(readlink "$in_use" || true)
    if [ -e "$incoming/install/install.sh" ]; then
        # It reports its own errors.
        sh "$incoming/install/install.sh" ${version:+"$version"} < /dev/null >&2 9>&- || exit 1
    fi
    rm -rf "$incoming/install"
}

# Runs while the previous service still runs; as nobody, like a service, and not as root.
check_model() {
    chmod 755 "$incoming"
    problem=$(setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \
        "$edgecnn" inspect "$incoming/model.tflite" --json 2>&1 > /dev/null) ||
        fail "$("$edgecnn" --version) on the device cannot use this model: $(last_error "$problem")"
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

# Give the release its name once all of it is on the disk.
keep_release() {
    rm "$incoming/SHA256SUMS"
    echo "$former" > "$incoming/before"
    sync "$incoming"/* "$incoming"
    mv -T "$incoming" "$home/releases/$release"
    incoming='' fresh=$release
    sync "$home/releases"
}

# --- Trying, committing and reverting a release ----------------------------------------------------------------------

try() {
    trying=$1
    # The unit requires this file, which does not exist before the first release.
    mkdir -p "$settings" && : >> "$settings/$name.env" &&
        ln -sfn "$home/releases/$1/service.env" "$trials/$name.env" && start
}

# Succeed if the service starts and stays up. A unit of Type=notify has started when it gives its first result.
start() {
    systemctl stop "$unit" || return 1
    # Earlier failures must not count against this start.
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
    # The release is in use from here on, whatever happens.
    trying='' fresh='' installed_before=''
    rm -f "$trials/$name.env"
    link "releases/$1" "$home/current"
    echo "release=$1"
}

# Go back to the previous release, and fail with the reason why the release on trial failed.
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
        outcome="there is no previous release, so nothing runs"
    elif start; then
        outcome="the previous release, $former, runs again"
    else
        outcome="the previous release, $former, does not start either: $(why_it_failed)"
        return 1
    fi
}

# Restore the edgecnn from before this deployment, for the release that it was used with.
restore_edgecnn() {
    if [ -n "$installed_before" ] && [ -e "${in_use%/*}/$installed_before" ]; then
        link "$installed_before" "$in_use"
    fi
    installed_before=''
}

# Print the log of the service since its start, without the results, which are JSON.
why_it_failed() {
    log=$(journal)
    [ -z "$mark" ] || log=${log#*"$mark"}
    log=$(last_error "$(echo "$log" | sed '/^{/d')")
    echo "${log:-it gave no result within $start_s s}"
}

journal() {
    journalctl --unit "$unit" --lines 50 --output cat --no-pager 2> /dev/null || true
}

# Delete all releases except the one in use and the two before it.
prune() {
    kept="/$release/$former/$(cat "$home/releases/$former/before" 2> /dev/null || true)/"
    for folder in "$home"/releases/*; do
        case $kept in
            */"${folder##*/}"/*) ;;
            *) rm -rf "$folder" ;;
        esac
    done
}

# --- The other actions -----------------------------------------------------------------------------------------------

rollback() {
    use "$1"
    start_s=$2
    claim
    [ -n "$former" ] || fail "$name is not deployed here; $(list_deployed)"
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
    [ -d "$home" ] || fail "$name is not deployed here; $(list_deployed)"
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
        [ -d "$home" ] || fail "$name is not deployed here; $(list_deployed)"
        describe
        return
    fi
    for service in $(deployed); do
        use "$service"
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
    for record in "$home"/releases/*/record.json; do
        [ ! -e "$record" ] || echo "record=$(cat "$record")"
    done
}

# Age of the service's process, without the system clock, which may have been set in the meantime.
running_s() {
    pid=$(systemctl show --property MainPID "$unit" | cut -d = -f 2)
    if [ "${pid:-0}" != 0 ] && [ -e "/proc/$pid/stat" ]; then
        # The name of the program comes first, in parentheses, and may contain spaces.
        ticks=$(sed 's/.*) //' "/proc/$pid/stat" | cut -d ' ' -f 20)
        awk -v ticks="$ticks" -v rate="$(getconf CLK_TCK)" '{ printf "%.0f", $1 - ticks / rate }' /proc/uptime
    fi
}

# logs NAME LINES [follow]
logs() {
    use "$1"
    [ -d "$home" ] || fail "$name is not deployed here; $(list_deployed)"
    trap - HUP PIPE
    exec journalctl --unit "$unit" --lines "$2" --output cat --no-pager ${3:+--follow}
}

# --- Helpers ---------------------------------------------------------------------------------------------------------

use() {
    name=$1
    unit=edgecnn@$name.service
    home=$state/$name
}

# Only one action at a time may change a service. The lock belongs to the process and ends with it.
claim() {
    mkdir -p "$trials"
    chmod 700 "$trials"
    exec 9> "$trials/$name.lock"
    flock -w "$patience_s" 9 ||
        fail "another deployment of $name is in progress on this device: wait until it has finished"
    trap clean_up EXIT
    trap 'exit 143' TERM INT
    former=$(current_release)
    clear_leftovers
}

clean_up() {
    # Do not interrupt the cleanup.
    trap '' TERM INT
    [ -z "$incoming" ] || rm -rf "$incoming"
    [ -z "$trying" ] || go_back || true
    [ -z "$fresh" ] || rm -rf "$home/releases/$fresh"
    restore_edgecnn
}

# Remove what a killed deployment left behind: incomplete files, and settings on trial.
clear_leftovers() {
    rm -rf "$home"/releases/.incoming.* "$home"/current.new.* "$settings/.$name.env.new"
    [ ! -L "$trials/$name.env" ] || go_back || true
}

current_release() {
    [ ! -e "$settings/$name.env" ] ||
        sed -n "s|^MODEL=$home/releases/\([^/]*\)/model\.tflite\$|\1|p" "$settings/$name.env"
}

deployed() {
    for releases in "$state"/*/releases; do
        [ ! -d "$releases" ] || basename "${releases%/releases}"
    done
}

list_deployed() {
    list=$(deployed | paste -sd ' ')
    echo "deployed: ${list:-nothing}"
}

# Replace the file $2 by $1, atomically and durably.
replace() {
    sync "$1"
    mv -fT "$1" "$2"
    sync "${2%/*}"
}

# Point the link $2 to $1; the link exists at every moment.
link() {
    ln -sfn "$1" "$2.new.$$" && mv -fT "$2.new.$$" "$2" && sync "${2%/*}"
}

# Print the last line of $1 that reports an error, or else its last three lines.
last_error() {
    error=$(echo "$1" | sed -n 's/^error: //p' | tail -n 1)
    one_line "${error:-$(echo "$1" | tail -n 3)}"
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
