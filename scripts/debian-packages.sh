# Packages of Debian that a script needs, and what it says; to be sourced, with `ABOUT` set to what
# the messages begin with.
# shellcheck shell=bash

say() { printf '\n--- %s: %s\n' "$ABOUT" "$*"; }

missing_packages() {
    local package
    for package in "$@"; do
        [[ $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true) == *'ok installed' ]] || echo "$package"
    done
}

update_packages() {
    [[ ${APT_UPDATED:-} ]] || apt-get update -qq
    export APT_UPDATED=1
}

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    ((${#missing[@]})) || return 0
    say "installing ${missing[*]}"
    if ((EUID)); then
        echo "these Debian packages are missing, and only root can install them: ${missing[*]}" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    update_packages
    apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null
}
