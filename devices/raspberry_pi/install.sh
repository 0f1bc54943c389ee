#!/bin/sh
# Installs edgecnn on a Raspberry Pi, or another 64-bit Debian, for classifying; what training needs stays away:
#
#   sh install.sh                    the wheel edgecnn-*.whl beside this script, else the newest release
#   sh install.sh 0.2.0              that release
#   sh install.sh --prefix DIR       into DIR, in place of /opt/edgecnn; for a DIR of one's own without root
#
# A folder `wheels` beside the script holds all that is needed: the network is then asked for nothing but the packages
# of Debian that are missing. Without the script in a file: curl -fsSL ADDRESS | sudo sh -s -- 0.2.0
#
#   /opt/edgecnn/versions/NAME/      a virtual environment for each version, the newest and the one before
#   /opt/edgecnn/current             the one in use: a link that is switched when the new one has proved to work
#   /opt/edgecnn/bin/edgecnn         the command; /usr/local/bin/edgecnn too
#   /opt/edgecnn/pip                 what installs them: /opt/edgecnn/pip/bin/pip --python /opt/edgecnn/current list
#
# The system's own Python packages, such as numpy and picamera2, are neither used nor changed.
set -eu

default_prefix=/opt/edgecnn
needed_mb=500
# How long another installation is waited for; one takes some minutes on a small board.
patience_s=1800
# The libraries that OpenCV links to, each with the package that brings it.
libraries='libGL.so.1=libgl1 libgthread-2.0.so.0=libglib2.0-0 libSM.so.6=libsm6 libxcb.so.1=libxcb1
libXext.so.6=libxext6 libX11.so.6=libx11-6'

main() {
    prefix=$default_prefix
    version=
    parse "$@"
    check_system
    if [ "$prefix" = "$default_prefix" ] && [ "$(id -u)" != 0 ]; then
        become_root "$@"
    fi
    # Before anything is changed, and again where Python was installed only now.
    check_python
    install_packages
    check_python
    claim_prefix
    find_wheel
    name_version
    if is_installed; then
        say "edgecnn $version is installed already"
    else
        build
        switch
        say "edgecnn $version is installed: $(du -sm "$new" | cut -f1) MB in $new"
    fi
    link_command
    say "next: $launcher doctor"
}

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
            --prefix)
                [ $# -gt 1 ] || fail 'expected a folder behind --prefix'
                prefix=$2
                shift
                ;;
            -*) fail "expected install.sh [--prefix DIR] [VERSION], got $1" ;;
            *) version=$1 ;;
        esac
        shift
    done
    case $prefix in
        /*) ;;
        *) prefix=$PWD/$prefix ;;
    esac
}

check_system() {
    machine=$(uname -m)
    if ! command -v apt-get > /dev/null || ! command -v dpkg > /dev/null; then
        fail 'expected Raspberry Pi OS or another Debian, found no apt-get;' \
            'elsewhere: python3 -m venv DIR, then DIR/bin/pip install edgecnn'
    fi
    # A 64-bit kernel may well run a 32-bit system: what counts is what its programs are built for.
    architecture=$(dpkg --print-architecture)
    case $machine/$architecture in
        armv6l/*)
            fail "edgecnn needs a 64-bit processor, this one is 32-bit ($machine):" \
                'a Raspberry Pi Zero 2 W, 3, 4 or 5 has one'
            ;;
        */arm64 | */amd64) ;;
        *)
            fail "edgecnn needs a 64-bit system, these programs are for $architecture (kernel: $machine):" \
                'write Raspberry Pi OS (64-bit) to the card'
            ;;
    esac
}

become_root() {
    [ -f "$0" ] || fail "expected to be root, to write to $prefix: pipe the script to: sudo sh"
    command -v sudo > /dev/null || fail "expected to be root, to write to $prefix: log in as root and try again"
    exec sudo sh "$0" "$@"
}

check_python() {
    command -v python3 > /dev/null || return 0
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "edgecnn needs Python 3.11 or newer, got $(python3 --version 2>&1):" \
            'write Raspberry Pi OS 12 (Bookworm) or newer to the card'
}

install_packages() {
    missing=$(missing_packages | paste -sd ' ')
    [ -n "$missing" ] || return 0
    say "installing $missing"
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    if ! apt_get update || ! apt_get install --no-install-recommends "$missing"; then
        fail "apt-get could not install $missing: see above, then try: sudo apt-get install $missing"
    fi
}

apt_get() {
    # A board that has just started may be updating itself. The script itself may be on stdin.
    # shellcheck disable=SC2048,SC2086 # several words each
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 $* < /dev/null > /dev/null
}

missing_packages() {
    python3 -c 'import ensurepip, venv' 2> /dev/null || echo python3-venv
    present=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p)
    for library in $libraries; do
        case $present in
            *"${library%=*}"*) ;;
            *) echo "${library#*=}" ;;
        esac
    done
}

# Makes the folder, and sees to it that nobody else installs there meanwhile: services may be deployed side by side.
claim_prefix() {
    # A service without privileges runs what is installed.
    umask 022
    unset PYTHONPATH PYTHONHOME
    [ ! -e "$prefix/pyvenv.cfg" ] ||
        fail "$prefix is an environment that install.sh did not make: move it away, with sudo mv $prefix $prefix.old"
    mkdir -p "$prefix/versions" "$prefix/bin" ||
        fail "cannot write to $prefix: run the script as root, or give --prefix DIR"
    exec 9>> "$prefix/.lock"
    if ! flock -n 9; then
        say "another installation is at work in $prefix: waiting for its end"
        flock -w "$patience_s" 9 || fail "another installation is still at work in $prefix: try again when it has ended"
    fi
    new=
    scratch=$(mktemp -d "$prefix/.installing.XXXXXX")
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    # /tmp may be a small part of the memory.
    export TMPDIR="$scratch"
}

# A version that was not finished goes; the one in use stays as it is.
clean_up() {
    rm -rf "$scratch"
    [ -z "$new" ] || [ -e "$new/.complete" ] || rm -rf "$new"
}

# Sets `wheel` to the file to be installed, and `sources` to where the packages that it needs come from.
find_wheel() {
    here=
    case $0 in
        */*) here=${0%/*} ;;
        *.sh) here=. ;;
    esac
    sources=
    if [ -n "$here" ] && [ -d "$here/wheels" ]; then
        # Names with spaces would be several words.
        ln -s "$(cd "$here/wheels" && pwd)" "$scratch/wheels"
        sources='--no-index --find-links wheels'
    fi
    if [ -z "$here" ] || [ -n "$version" ] || ! copy_wheel "$here"; then
        download_wheel
    fi
    wheel=$(echo "$scratch"/edgecnn-*.whl)
}

copy_wheel() {
    set -- "$1"/edgecnn-*.whl
    [ -e "$1" ] || return 1
    [ $# = 1 ] || fail "expected one edgecnn-*.whl beside the script, got $#: remove the others"
    cp "$1" "$scratch"
}

download_wheel() {
    run_pip download --no-deps "edgecnn${version:+==$version}" ||
        fail "no edgecnn${version:+ $version} could be fetched: see above; check the network and the version"
}

# One pip for all versions: a new one takes half a minute on a small board. The system's pip may be missing.
make_pip() {
    # The one that is there may be of a Python that the system has replaced.
    "$prefix/pip/bin/pip" --version > /dev/null 2>&1 && return 0
    rm -rf "$prefix/pip"
    make_environment "$prefix/pip"
}

# In the scratch folder, where the wheel is and what `sources` names. Nothing is compiled on a small board.
run_pip() {
    make_pip
    # shellcheck disable=SC2086 # several words each
    (cd "$scratch" && "$prefix/pip/bin/pip" --disable-pip-version-check --no-input --quiet "$@" \
        --no-cache-dir --only-binary :all: $sources)
}

make_environment() {
    # Whatever lies in the working folder is none of Python's modules.
    python3 -I -m venv "$@" || fail 'python3 -m venv does not work: see above'
}

# A version is its wheel, what comes with it, and the Python that it is for.
name_version() {
    version=${wheel##*/edgecnn-}
    version=${version%%-*}
    python_version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    content=$({ sha256sum < "$wheel" && ls "$scratch/wheels" 2> /dev/null; } | sha256sum | cut -c1-12)
    name=$version-python$python_version-$content
}

is_installed() {
    [ "$(readlink "$prefix/current")" = "versions/$name" ] && works "$prefix/versions/$name"
}

works() {
    [ -e "$1/.complete" ] && check "$1" 2> /dev/null
}

# That the command starts, and that what is written in C++ finds its libraries; whatever lies in the working folder.
check() {
    "$1/bin/edgecnn" --version > /dev/null &&
        "$1/bin/python" -I -c 'import cv2; from edgecnn.runtime.inference.interpreter import find_runtime; find_runtime()'
}

build() {
    new=$prefix/versions/$name
    # The version before the last, to which one goes back.
    ! works "$new" || return 0
    rm -rf "$new"
    free_mb=$(($(df -Pk "$prefix" | awk 'NR == 2 { print $4 }') / 1024))
    [ "$free_mb" -ge "$needed_mb" ] ||
        fail "expected $needed_mb MB free in $prefix, got $free_mb: try sudo apt-get clean, or a larger card"
    say "installing edgecnn $version, which takes some minutes on a small board"
    make_environment --without-pip "$new"
    run_pip --python "$new/bin/python" install "./${wheel##*/}" ||
        fail "pip could not install edgecnn $version: see above; $(what_stays)"
    check "$new" || fail "edgecnn $version does not start here: see above; $(what_stays)"
    : > "$new/.complete"
}

what_stays() {
    if [ -e "$prefix/current" ]; then
        echo 'the version in use is unchanged'
    else
        echo 'nothing is installed'
    fi
}

switch() {
    before=$(readlink "$prefix/current" || true)
    link "versions/$name" "$prefix/current"
    for each in "$prefix"/versions/*; do
        case versions/${each##*/} in
            "versions/$name" | "$before") ;;
            *) rm -rf "$each" ;;
        esac
    done
    [ -z "$before" ] || say "services go on with the version before until: sudo systemctl restart 'edgecnn@*'"
}

link_command() {
    launcher=$prefix/bin/edgecnn
    link ../current/bin/edgecnn "$launcher"
    [ "$prefix" = "$default_prefix" ] || return 0
    everybodys=/usr/local/bin/edgecnn
    if [ -e "$everybodys" ] && [ "$(readlink "$everybodys")" != "$launcher" ]; then
        say "$everybodys is not of install.sh's making and stays; the new command is $launcher"
    else
        mkdir -p "${everybodys%/*}"
        link "$launcher" "$everybodys"
        launcher=edgecnn
    fi
}

# Points the link $2 at $1; at no moment is there none.
link() {
    [ "$(readlink "$2")" != "$1" ] || return 0
    ln -s "$1" "$2.$$"
    mv -fT "$2.$$" "$2"
}

say() {
    echo "$*" >&2
}

fail() {
    say "error: $*"
    exit 1
}

main "$@"
