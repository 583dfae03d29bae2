# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Shared by tests/run and examples/run: finds out which packages this machine lacks, and installs them if it is told to.

# Tools for networks are often outside an ordinary user's path.
PATH=$PATH:/usr/sbin:/sbin:/usr/local/go/bin:$HOME/.cargo/bin

install=no
missing=()

allow_install() {
    install=yes
}

# need PACKAGE COMMAND...: the package is missing unless the command succeeds.
need() {
    local package=$1
    shift
    "$@" </dev/null >/dev/null 2>&1 || missing+=("$package")
}

has() {
    command -v "$1"
}

# compiles COMPILER [OPTION...]
compiles() {
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
    need miniupnpd has miniupnpd
    need iproute2 has ip
    need util-linux has unshare
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

# The tests start the servers that come with a package, in networks of their own. The distribution's policy-rc.d keeps
# apt-get from starting them here; systemctl keeps the next boot from it.
install_script=$(
    cat <<'SCRIPT'
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf "#!/bin/sh\nexit 101\n" >"$policy"
    chmod 755 "$policy"
fi
apt-get -o DPkg::Lock::Timeout=600 -qq update
apt-get -o DPkg::Lock::Timeout=600 -qq -y --no-install-recommends install "$@"
for package in "$@"; do
    case $package in
    coturn) service=coturn ;;
    stun-server) service=stun ;;
    miniupnpd) service=miniupnpd ;;
    tayga) service=tayga ;;
    *) continue ;;
    esac
    if command -v systemctl >/dev/null; then
        systemctl disable "$service" >/dev/null 2>&1 || true
    fi
done
SCRIPT
)

# give_up REASON: prints the command that installs what is missing, and ends with status 3.
give_up() {
    local sudo=
    [ "$(id -u)" -eq 0 ] || sudo="sudo "
    {
        echo "$1"
        echo "Missing packages: ${missing[*]}"
        echo "This command installs them on Debian and Ubuntu:"
        echo "    ${sudo}apt-get install --no-install-recommends ${missing[*]}"
    } >&2
    exit 3
}

# get_packages NEED...: each NEED is a function that calls need(). Returns when nothing is missing any more.
get_packages() {
    find_missing "$@"
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$install" = yes ] || give_up "This machine lacks packages, and --install was not given."
    has apt-get >/dev/null || give_up "--install needs apt-get."
    as_root true 2>/dev/null || give_up "--install needs root, or sudo without a password."
    echo "Installing: ${missing[*]}"
    as_root flock /run/libnatprobe-install.lock sh -c "$install_script" install "${missing[@]}" >/dev/null ||
        give_up "apt-get failed."
    find_missing "$@"
    [ ${#missing[@]} -eq 0 ] || give_up "Packages are still missing after apt-get."
}

find_missing() {
    local packages
    missing=()
    for packages in "$@"; do
        "$packages"
    done
    [ ${#missing[@]} -eq 0 ] || mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
}
