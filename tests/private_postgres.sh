# shellcheck shell=bash
# A private PostgreSQL server for tests and benchmarks. Source this file, and call `start_postgres FOLDER`, which sets
# `postgres_programs`, the folder of PostgreSQL's programs, and `postgres_folder`, that of the server's socket. The superuser is
# `test`, without a password. Fails if PostgreSQL is not installed.
start_postgres() {
    postgres_folder=$1
    postgres_programs=${PORTCULLIS_TEST_POSTGRES:-$(dirname "$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -1)")}
    [[ -x $postgres_programs/initdb ]] || { echo "PostgreSQL is not installed" >&2; return 1; }
    mkdir -p "$postgres_folder"
    as_server() { "$@"; }
    # PostgreSQL does not run as root.
    if [[ $(id -u) == 0 ]]; then
        chown nobody "$postgres_folder"
        as_server() { setpriv --reuid=nobody --clear-groups "$@"; }
    fi
    (cd "$postgres_folder" &&
        as_server "$postgres_programs/initdb" -D data -U test --auth trust --encoding UTF8 --locale C.UTF-8 --no-sync >/dev/null)
    as_server "$postgres_programs/pg_ctl" -D "$postgres_folder/data" -w -l "$postgres_folder/log" \
        -o "-k $postgres_folder -c listen_addresses= -c max_connections=200" start >/dev/null
}

stop_postgres() {
    [[ -z ${postgres_folder:-} ]] || as_server "$postgres_programs/pg_ctl" -D "$postgres_folder/data" -m immediate stop >/dev/null || true
}
