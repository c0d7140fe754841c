#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Who may include and call whom. Run from the top directory; prints each fault
# and exits 1 when there is one. Tests are free, except for what is said of
# all sources.

set -u
CC=${CC:-cc}
faults=0

fault() {
    echo "tests/lint/includes.sh: $*" >&2
    faults=$((faults + 1))
}

# Each line of standard input is a fault: "what" in front of it.
faults_of() {
    while read -r line; do
        echo "$1: $line"
    done >>"$tmp/faults"
}

# $1: a pattern of lines; $2: the files that may have them, as a pattern of
# paths; $3: the rule in words.
only_in() {
    grep -nE "$1" libspool/*.[ch] spoold/*.[ch] spoolctl/*.[ch] |
        grep -vE "^($2):" | faults_of "$3"
}

# --- one door to each library ------------------------------------------------

doors() {
    only_in '^# *include <lmdb\.h>' 'libspool/db[a-z_]*\.[ch]' \
        'lmdb.h is for libspool/db*'
    only_in '^# *include <z(std|dict)\.h>' \
        'libspool/(body|body_pack|dictionary)\.c' \
        'zstd.h is for body*.c and dictionary.c'
    only_in '^# *include <sodium' \
        'libspool/(body|body_pack|recipients|seal|key_file|ledger_chain|db_rows|password)\.c' \
        'sodium.h is for seal.c, key_file.c and the hashes'
    only_in '^# *include <confuse\.h>' 'libspool/conf_tree\.c' \
        'confuse.h is for conf_tree.c'
    only_in '^# *include <openssl/' 'spoold/(io|io_tls|tls)\.c|spoold/io_private\.h' \
        'OpenSSL is for io*.c and tls.c'
    only_in '^# *include <unbound' 'spoold/resolve\.c' \
        'libunbound is for resolve.c'
    only_in '^# *include <event' \
        'spoold/(loop|io|peer)\.c|spoold/loop_base\.h' \
        'libevent is for loop.c, io.c and peer.c'
    only_in '^# *include "loop_base\.h"' 'spoold/(loop|io|io_tls|peer)\.c' \
        'libevent is for loop.c, io.c and peer.c'
    only_in '^# *include <jansson\.h>' \
        'spoold/control[a-z_]*\.[ch]|spoolctl/[a-z_]*\.[ch]' \
        'jansson is for control* and spoolctl'
    only_in '^# *include <gmime/' 'libspool/mime_decode\.c' \
        'GMime is for mime_decode.c'
    only_in '^# *include <glib' 'libspool/mime_fold\.c' \
        'GLib is for mime_fold.c and, under GMime, mime_decode.c'
    only_in '^# *include <iconv\.h>' 'libspool/mime_charset\.c' \
        'iconv is for mime_charset.c'
    only_in '(^|[^a-zA-Z0-9_>."])(time|gettimeofday|clock_gettime|timespec_get)\(' \
        'libspool/clock\.c' 'only clock.c asks the time'
    only_in '(^|[^a-zA-Z0-9_])db_commit\(' \
        'libspool/db[a-z_]*\.[ch]|spoold/store_(batch|compact)\.c' \
        'only store_batch.c commits, and store_compact.c to its copy'
    only_in '(^|[^a-zA-Z0-9_])db_(put|add|del)_[a-z]+\(' \
        'libspool/db[a-z_]*\.[ch]|spoold/store_[a-z]+\.c' \
        'only what store_apply.c calls changes rows'
}

# --- layers ------------------------------------------------------------------

# The layer of a module of libspool; each sees its own and lower ones. One name
# a line in tests/lint/layers.
layer_of() {
    while read -r layer name; do
        # shellcheck disable=SC2254 # names may have a *
        case $1 in
        $name) echo "$layer" && return ;;
        esac
    done <tests/lint/layers
    echo unknown
}

# "FILE HEADER" for each quoted include.
includes() {
    grep -HoE '^# *include "[^"]+"' "$@" |
        sed -E 's/^([^:]+):# *include "(.*)"/\1 \2/'
}

layers() {
    for file in libspool/*.[ch]; do
        module=$(basename "$file" | sed 's/\.[ch]$//')
        [ "$(layer_of "$module")" != unknown ] ||
            echo "$file" | faults_of 'give it a layer in tests/lint/layers'
    done
    includes libspool/*.[ch] | while read -r file header; do
        from=$(layer_of "$(basename "$file" | sed 's/\.[ch]$//')")
        to=$(layer_of "${header%.h}")
        if [ ! -f "libspool/$header" ]; then
            echo "$file includes $header" |
                faults_of 'libspool knows nothing above it'
        elif [ "$from" != unknown ] && [ "$to" != unknown ] &&
            [ "$from" -lt "$to" ]; then
            echo "$file ($from) includes $header ($to)" |
                faults_of 'a layer sees only lower ones'
        fi
    done
    # The parts of conf are private to conf*.c.
    includes libspool/*.[ch] spoold/*.[ch] spoolctl/*.[ch] |
        grep ' conf_' | grep -v '^libspool/conf' |
        faults_of 'conf.h is the way to the configuration'
    includes libspool/*.[ch] spoold/*.[ch] spoolctl/*.[ch] |
        grep ' db_lmdb\.h' | grep -v '^libspool/db' |
        faults_of 'db.h and db_read.h are the way to the database'
    includes spoolctl/*.[ch] | while read -r file header; do
        [ -f "libspool/$header" ] || [ -f "spoolctl/$header" ] ||
            echo "$file includes $header" |
            faults_of 'spoolctl uses libspool and itself'
    done
    includes spoold/*.[ch] | while read -r file header; do
        [ -f "libspool/$header" ] || [ -f "spoold/$header" ] ||
            echo "$file includes $header" |
            faults_of 'spoold uses libspool and itself'
    done
}

# --- roles -------------------------------------------------------------------

# The role a file of spoold belongs to, by its name; nothing: all roles.
role_of() {
    basename "$1" |
        sed -nE 's/^(parent|listener|store|replay|control|imap|auth)(_[a-z_]+)?\.[ch]$/\1/p'
}

roles() {
    includes spoold/*.[ch] | while read -r file header; do
        owner=$(role_of "$header")
        [ -z "$owner" ] || [ "$owner" = "$(role_of "$file")" ] ||
            [ "$file $header" = 'spoold/main.c parent.h' ] ||
            echo "$file includes $header" |
            faults_of "a role's header is for its own files"
    done
    # Policy that is tested without sockets, by whatever way an include comes.
    for file in spoold/replay_sched.c spoold/replay_pace.c \
        spoold/replay_budget.c spoold/replay_outcome.c \
        spoold/listener_command.c; do
        [ -f "$file" ] || { echo "$file" | faults_of 'missing'; continue; }
        $CC -MM -D_GNU_SOURCE -Ilibspool -Ispoold "$file" | tr ' ' '\n' |
            grep -E '/(io|loop|loop_base|tls|peer)\.h$' |
            sed "s|^|$file sees |" | faults_of 'policy knows no sockets'
    done
}

# --- all sources -------------------------------------------------------------

all_sources() {
    sources=$(find libspool spoold spoolctl tests -name '*.[ch]' | sort)
    for file in $sources; do
        head -1 "$file" | grep -q 'SPDX-License-Identifier: ISC' ||
            echo "$file" | faults_of 'the first line names the licence'
    done
    # A header that is included first shows that it stands by itself.
    for file in libspool/*.c spoold/*.c spoolctl/*.c; do
        header=$(basename "$file" .c).h
        [ -f "$(dirname "$file")/$header" ] || continue
        first=$(grep -m1 -E '^# *include' "$file")
        [ "$first" = "#include \"$header\"" ] ||
            echo "$file" | faults_of 'its own header comes first'
    done
    grep -nE '^# *if' libspool/*.c spoold/*.c spoolctl/*.c |
        faults_of 'no conditional compilation'
    words='TO''DO|FIX''ME|XX''X|HA''CK'
    # shellcheck disable=SC2086
    grep -nwE "$words" $sources Makefile man/* |
        faults_of 'nothing is left for later'
    wc -l libspool/*.c spoold/*.c spoolctl/*.c |
        awk '$2 != "total" && $1 > 700 { print $2 ": " $1 " lines" }' |
        faults_of 'a file has at most 700 lines'
    awk 'FNR == 1 { start = 0 }
         /^{/ { start = FNR }
         /^}/ { if (start && FNR - start > 80)
                    print FILENAME ":" start ": " FNR - start " lines"
                start = 0 }' libspool/*.c spoold/*.c spoolctl/*.c |
        faults_of 'a function has at most 80 lines'
}

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
: >"$tmp/faults"
doors
layers
roles
all_sources
while read -r line; do
    fault "$line"
done <"$tmp/faults"
[ "$faults" = 0 ]
