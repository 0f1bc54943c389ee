#!/bin/sh
# Prints the output of units that this device's `systemctl` has stored: the bare lines, whatever --output says.
set -eu

unit='' lines=+1 follow=''
while [ $# -gt 0 ]; do
    case $1 in
        -u | --unit) unit=$2; shift ;;
        -u*) unit=${1#-u} ;;
        --unit=*) unit=${1#--unit=} ;;
        -n | --lines) lines=$2; shift ;;
        -n*) lines=${1#-n} ;;
        --lines=*) lines=${1#--lines=} ;;
        -f | --follow) follow=-f; [ "$lines" != +1 ] || lines=10 ;;
        -o | --output) shift ;;
        -o* | --output=* | --no-pager | -q | --quiet) ;;
        *) echo "journalctl: this stand-in does not support $1" >&2; exit 1 ;;
    esac
    shift
done
case $unit in
    '') echo 'journalctl: this stand-in requires --unit' >&2; exit 1 ;;
    *.service) ;;
    *) unit=$unit.service ;;
esac
log=/var/log/units/$unit.log
if [ ! -e "$log" ]; then
    echo '-- No entries --'
    [ -n "$follow" ] || exit 0
fi
# Follow by name, since a unit may not have printed anything yet.
exec tail -n "$lines" ${follow:+-F} -- "$log" 2> /dev/null
