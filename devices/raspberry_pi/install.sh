#!/bin/sh
# Installs edgecnn on a Raspberry Pi or another 64-bit Debian for classification, without the dependencies of training:
#
#   sh install.sh                    the wheel edgecnn-*.whl beside this script, or else the newest release
#   sh install.sh 0.2.0              this release
#   sh install.sh --prefix DIR       into DIR instead of /opt/edgecnn; a DIR that the user owns needs no root
#
# If there is a folder `wheels` beside the script, all packages are taken from it, and only missing Debian packages are
# downloaded. To run the script without a file: curl -fsSL ADDRESS | sudo sh -s -- 0.2.0
#
#   /opt/edgecnn/versions/NAME/      a virtual environment for each version: the newest and the previous one
#   /opt/edgecnn/current             link to the version in use; switched when the new one has proved to work
#   /opt/edgecnn/bin/edgecnn         the command; also as /usr/local/bin/edgecnn
#   /opt/edgecnn/pip                 their pip: /opt/edgecnn/pip/bin/pip --python /opt/edgecnn/current list
#
# The system's own Python packages, such as numpy and picamera2, are neither used nor changed.
set -eu

default_prefix=/opt/edgecnn
needed_mb=500
# Seconds to wait for another installation, which takes a few minutes on a small board.
patience_s=1800
# The libraries that OpenCV links to, each with the Debian package that contains it.
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
    # Checked before anything is changed, and again because the previous step may have installed Python.
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
                [ $# -gt 1 ] || fail 'expected a folder after --prefix'
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
    # A 64-bit kernel can run a 32-bit system: what counts is the architecture of the programs.
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
    [ -f "$0" ] || fail "root is required to write to $prefix: pipe the script to: sudo sh"
    command -v sudo > /dev/null || fail "root is required to write to $prefix: log in as root and try again"
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
    # Wait for the lock, since a board that has just started may be updating itself. Do not read stdin: it may be this
    # script.
    # shellcheck disable=SC2048,SC2086 # these are several arguments each
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

# Create the folder and lock it, since several services may be deployed at the same time.
claim_prefix() {
    # The installed files are run by a service without privileges.
    umask 022
    unset PYTHONPATH PYTHONHOME
    [ ! -e "$prefix/pyvenv.cfg" ] ||
        fail "$prefix is an environment that install.sh did not create: move it away with sudo mv $prefix $prefix.old"
    mkdir -p "$prefix/versions" "$prefix/bin" ||
        fail "cannot write to $prefix: run the script as root, or give --prefix DIR"
    exec 9>> "$prefix/.lock"
    if ! flock -n 9; then
        say "another installation is in progress in $prefix: waiting until it has finished"
        flock -w "$patience_s" 9 ||
            fail "another installation is still in progress in $prefix: try again when it has finished"
    fi
    new=
    scratch=$(mktemp -d "$prefix/.installing.XXXXXX")
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    # /tmp may be in memory, and small.
    export TMPDIR="$scratch"
}

# Remove an incomplete version; the one in use does not change.
clean_up() {
    rm -rf "$scratch"
    [ -z "$new" ] || [ -e "$new/.complete" ] || rm -rf "$new"
}

# Set `wheel` to the file to install, and `sources` to the options for the source of its dependencies.
find_wheel() {
    here=
    case $0 in
        */*) here=${0%/*} ;;
        *.sh) here=. ;;
    esac
    sources=
    if [ -n "$here" ] && [ -d "$here/wheels" ]; then
        # A link, since a path with spaces would be split into several arguments.
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
        fail "could not download edgecnn${version:+ $version}: see above; check the network and the version"
}

# Share one pip among all versions: installing it takes half a minute on a small board. The system's may be missing.
make_pip() {
    # An existing one may belong to a Python that the system has replaced.
    "$prefix/pip/bin/pip" --version > /dev/null 2>&1 && return 0
    rm -rf "$prefix/pip"
    make_environment "$prefix/pip"
}

# Run pip in the scratch folder, which contains the wheel and what `sources` names. Never compile on a small board.
run_pip() {
    make_pip
    # shellcheck disable=SC2086 # this is several arguments
    (cd "$scratch" && "$prefix/pip/bin/pip" --disable-pip-version-check --no-input --quiet "$@" \
        --no-cache-dir --only-binary :all: $sources)
}

make_environment() {
    # -I: do not import modules from the working folder.
    python3 -I -m venv "$@" || fail 'python3 -m venv does not work: see above'
}

# A version is identified by its wheel, the wheels beside it, and the version of Python.
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

# Check that the command starts and that native code finds its libraries. -I: ignore modules in the working folder.
check() {
    "$1/bin/edgecnn" --version > /dev/null &&
        "$1/bin/python" -I -c 'import cv2; from edgecnn.runtime.inference.interpreter import find_runtime; find_runtime()'
}

build() {
    new=$prefix/versions/$name
    # Going back to the previous version, which is still installed, needs no build.
    ! works "$new" || return 0
    rm -rf "$new"
    free_mb=$(($(df -Pk "$prefix" | awk 'NR == 2 { print $4 }') / 1024))
    [ "$free_mb" -ge "$needed_mb" ] ||
        fail "expected $needed_mb MB free in $prefix, got $free_mb: try sudo apt-get clean, or a larger card"
    say "installing edgecnn $version, which takes a few minutes on a small board"
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
    for folder in "$prefix"/versions/*; do
        case versions/${folder##*/} in
            "versions/$name" | "$before") ;;
            *) rm -rf "$folder" ;;
        esac
    done
    [ -z "$before" ] || say "services keep running the previous version until: sudo systemctl restart 'edgecnn@*'"
}

link_command() {
    launcher=$prefix/bin/edgecnn
    link ../current/bin/edgecnn "$launcher"
    [ "$prefix" = "$default_prefix" ] || return 0
    global_link=/usr/local/bin/edgecnn
    if [ -e "$global_link" ] && [ "$(readlink "$global_link")" != "$launcher" ]; then
        say "$global_link was not created by install.sh and is kept; the new command is $launcher"
    else
        mkdir -p "${global_link%/*}"
        link "$launcher" "$global_link"
        launcher=edgecnn
    fi
}

# Point the link $2 to $1; the link exists at every moment.
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
