#!/usr/bin/env bash
# Runs nginx with a module that AddressSanitizer and UndefinedBehaviorSanitizer check: tests/gateways/sanitize.sh PORTCULLIS.
# Not a part of run.sh, whose tools and library it needs. Fails if a sanitizer finds anything.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$PWD/target/gateways
libraries=$(dirname "$(realpath "$1")")/deps
flags="-fsanitize=address,undefined -fno-omit-frame-pointer"
make --silent -C gateways/nginx BUILD="$target/nginx-sanitized" LIBRARY="$libraries/libportcullis_c.a" CC_OPT="-g -O1 $flags" LD_OPT="$flags"
logs=$(mktemp -d)
export PORTCULLIS_NGINX_MODULES=$target/nginx-sanitized PORTCULLIS_LIBRARY=$libraries/libportcullis_c.so
export PATH=$target/venv/bin:/usr/sbin:$PATH
# The pools of nginx are freed at the end of a process without an order, so leaks are not reported. Freed memory that a
# sanitizer keeps would look like a growth.
export ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=1:log_path=$logs/address UBSAN_OPTIONS=log_path=$logs/undefined:print_stacktrace=1
sanitized() {
    LD_PRELOAD="$(realpath "$(gcc -print-file-name=libasan.so)") $(realpath "$(gcc -print-file-name=libubsan.so)")" timeout 600 python3 "$@"
}
sanitized tests/gateways/routing.py
sanitized tests/gateways/inprocess.py "$1" nginx-module
RELOADS=100 sanitized tests/gateways/endurance.py nginx-module
if compgen -G "$logs/*" >/dev/null; then
    cat "$logs"/*
    exit 1
fi
rm -r "$logs"
echo "the sanitizers found nothing"
