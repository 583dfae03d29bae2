# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Shared by tests/run and examples/run: finds out what this machine lacks, and gets it where it may.

# Tools for networks are often outside an ordinary user's path.
PATH=$PATH:/usr/sbin:/sbin:/usr/local/go/bin:$HOME/.cargo/bin

missing=()

# need PACKAGE COMMAND...: the package is missing unless the command succeeds.
need() {
    local package=$1
    shift
    "$@" </dev/null >/dev/null 2>&1 || missing+=("$package")
}

has() {
    command -v "$1"
}

compiles() { # COMPILER [OPTION...]: a program from standard input, which need() closes
    echo 'int main(void) { return 0; }' | "$@" -x c - -o /dev/null
}

need_build() {
    need meson has meson
    need ninja-build has ninja
    need pkg-config has pkg-config
    need python3 has python3
    need gcc has cc
    need libc6-dev compiles cc
}

need_lab() {
    need coturn has turnserver
    need stun-server has stund
    need nftables has nft
    need iproute2 has ip
    need util-linux has unshare
}

# What the bindings are built with.
need_languages() {
    need g++ has g++
    need libuv1-dev pkg-config --exists libuv
    need cargo has cargo
    need golang-go has go
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

may_install() {
    command -v apt-get >/dev/null && as_root true 2>/dev/null
}

# Runs as root. Servers that come with a package are for the tests to start, in networks of their own: policy-rc.d, the
# distribution's own switch, keeps them from being started here, and those newly come are not started at the next boot.
install_script='
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '\''rm -f "$policy"'\'' EXIT
    printf "#!/bin/sh\nexit 101\n" >"$policy"
    chmod 755 "$policy"
fi
apt-get -o DPkg::Lock::Timeout=600 -qq update
apt-get -o DPkg::Lock::Timeout=600 -qq -y --no-install-recommends install "$@"
for package in "$@"; do
    case $package in
    coturn) service=coturn ;;
    stun-server) service=stun ;;
    *) continue ;;
    esac
    if command -v systemctl >/dev/null; then
        systemctl disable "$service" >/dev/null 2>&1 || true
    fi
done
'

# Installs what need() found missing, and says so; where it may not, prints the list and ends with status 1.
install_missing() {
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! may_install; then
        echo "This machine lacks: ${missing[*]}" >&2
        echo "Install them first, on Debian or Ubuntu with: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    echo "Installing: ${missing[*]}"
    as_root flock /run/libnatprobe-install.lock sh -c "$install_script" install "${missing[@]}" >/dev/null
    missing=()
}
