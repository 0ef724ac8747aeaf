# shellcheck shell=bash
# What the browser tests of the workspace need. Source this file in the root of the repository.

# Installs missing programs, each named as PROGRAM=PACKAGE of Debian.
need_programs() {
    local missing=() program
    for program in "$@"; do
        command -v "${program%%=*}" >/dev/null || missing+=("${program#*=}")
    done
    ((${#missing[@]})) || return 0
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Installs the packages of npm that the lock file in the folder $1 has, without their scripts, into a folder that is kept.
# Sets NODE_PATH.
need_modules() {
    local modules
    modules=${BROWSER_MODULES:-${CARGO_TARGET_DIR:-target}/browser-modules}/$(basename "$1")
    mkdir -p "$modules"
    if ! cmp -s "$1/package-lock.json" "$modules/installed.json"; then
        cp "$1/package.json" "$1/package-lock.json" "$modules"
        npm ci --silent --no-fund --no-audit --ignore-scripts --prefix "$modules"
        cp "$1/package-lock.json" "$modules/installed.json"
    fi
    NODE_PATH=$(realpath "$modules")/node_modules
    export NODE_PATH
}

# Builds the command, unless PORTCULLIS names one. Sets PORTCULLIS.
need_command() {
    if [[ -z ${PORTCULLIS:-} ]]; then
        cargo build --locked -p portcullis-cli --all-features --bin portcullis
        PORTCULLIS=${CARGO_TARGET_DIR:-target}/debug/portcullis
    fi
    PORTCULLIS=$(realpath "$PORTCULLIS")
    export PORTCULLIS
}
