#!/bin/sh
# SPDX-License-Identifier: ISC
#
# What stands in a table must stand in its manual page:
#
#   conf_table.h   spoold.conf.5  every key in its section, in the order of the
#                                 table, with its limits and default
#   event_table.h  spoold.8       every verb
#   ctl_table.h    spoolctl.8     every command, in the order of the table
#   record tables  spool.5        every field that is on disk, with its tag
#
# and no table of a record may use a tag twice. Run from the top directory;
# prints each fault and exits 1 when there is one.

set -u
CC=${CC:-cc}
faults=0

fault() {
    echo "tests/lint/tables.sh: $*" >&2
    faults=$((faults + 1))
}

# A table's rows, one a line, columns parted by tabs: the preprocessor reads
# it, so quotes, commas and several lines are no matter. $1: the table, $2: the
# parameters of X, $3: its columns to print as "#define X" would see them.
rows() {
    printf '#define NEEDED "needed"\n#define X(%s) @ROW@ %s @END@\n%s\n' \
        "$2" "$3" "#include \"$1\"" |
        $CC -E -P -Ilibspool -Ispoold -x c - |
        tr '\n' ' ' | sed 's/@END@/\n/g' | sed -n 's/.*@ROW@ //p' |
        sed 's/ *@ */\t/g; s/[ \t]*$//; s/"//g'
}

page() {
    [ -f "man/$1" ] || { fault "man/$1 is missing"; return 1; }
}

# --- the configuration -------------------------------------------------------

# From the page: section, key, "Range" text, "Default" text.
conf_entries() {
    awk '
        function flush() {
            if (key != "")
                print section "\t" key "\t" range "\t" initial
            key = ""
        }
        /^\.Ss Outside of sections/ { flush(); section = "ROOT"; next }
        /^\.Ss (tls|listen|target|resolver|domain|limit|store|imap)/ {
            flush(); section = toupper($2); next
        }
        /^\.S[hs]/ { flush(); section = ""; next }
        section == "" { next }
        /^\.It Ic / { flush(); key = $3; range = "-"; initial = "-"; next }
        /^Range: / { range = $2 ".." substr($4, 1, length($4) - 1) }
        /^Default: (not set\.|the )/ { initial = ""; next } # told in words
        /^Default:$/ { getline; initial = $2; next }
        /^Default: / { initial = substr($0, 10); sub(/\.$/, "", initial) }
        /^It must be given\.$/ { initial = "needed" }
        END { flush() }
    ' man/spoold.conf.5
}

# The same from the table. Words that come later show no range.
conf_rows() {
    rows conf_table.h 'S, k, K, t, m, d, l, h, s' 'S @ k @ K @ d @ l @ h' |
        awk -F '\t' '{
            range = "-"
            if (($3 == "NUM" || $3 == "SIZE" || $3 == "TIME") && $5 != $6)
                range = $5 ".." $6
            print $1 "\t" $2 "\t" range "\t" $4
        }'
}

check_conf() {
    page spoold.conf.5 || return
    conf_entries >"$tmp/page"
    conf_rows >"$tmp/table"
    [ -s "$tmp/table" ] || fault "no row found in conf_table.h"
    diff "$tmp/table" "$tmp/page" >"$tmp/diff" || {
        fault "conf_table.h (<) and man/spoold.conf.5 (>) differ:"
        sed -n 's/^\([<>]\)/    \1/p' "$tmp/diff" >&2
    }
}

# --- events and commands ----------------------------------------------------

# Is $2 a word of an ".It" line (macros and commas apart) of the page $1?
has_item() {
    grep '^\.It ' "man/$1" | sed 's/^\.It//; s/ Ic / /g; s/\\&//g; s/,/ /g' |
        grep -qE "(^| )$2( |\$)"
}

check_events() {
    page spoold.8 || return
    rows event_table.h 'n, N, v, s' 'v' >"$tmp/verbs"
    [ -s "$tmp/verbs" ] || fault "no row found in event_table.h"
    while read -r verb; do
        has_item spoold.8 "$verb" ||
            fault "man/spoold.8 has no item for the event $verb"
    done <"$tmp/verbs"
    grep -oE '^X\( *[0-9]+' libspool/event_table.h | tr -dc '0-9\n' |
        sort -n | uniq -d | while read -r number; do
            echo "$number"
        done >"$tmp/twice"
    [ -s "$tmp/twice" ] &&
        fault "event_table.h uses a number twice: $(tr '\n' ' ' <"$tmp/twice")"
}

check_commands() {
    page spoolctl.8 || return
    rows ctl_table.h 'N, a, w, g, l, h, f, s, d' 'w' >"$tmp/commands"
    [ -s "$tmp/commands" ] || fault "no row found in ctl_table.h"
    grep '^\.It ' man/spoolctl.8 |
        sed 's/^\.It *//; s/^Xo *//; s/^\(Nm spoolctl *\)*//; s/^Ic *//' \
            >"$tmp/items"
    last=0
    while read -r words; do
        # "undo" is the beginning of "undo list", too.
        lines=$(grep -nE "^$words( |\$)" "$tmp/items" | cut -d: -f1)
        line=
        for found in $lines; do
            [ -n "$line" ] && [ "$line" -gt "$last" ] || line=$found
        done
        if [ -z "$line" ]; then
            fault "man/spoolctl.8 has no item for the command \"$words\""
        elif [ "$line" -le "$last" ]; then
            fault "man/spoolctl.8: \"$words\" is not in the table's order"
        else
            last=$line
        fi
    done <"$tmp/commands"
}

# --- records -----------------------------------------------------------------

# All record tables: file, type, tag, member.
record_rows() {
    grep -hoE 'RECORD_[A-Z]+_(FIELD|NUM|VIEW)\( *[0-9]+, *[a-z_]+, *[a-z_]+' \
        libspool/*.c spoold/*.c |
        sed -E 's/.*\( *([0-9]+), *([a-z_]+), *([a-z_]+)/\2 \1 \3/'
}

# The page's text of the table $1, as one line.
record_text() {
    awk -v table="$1" '
        /^\.It Ic / { inside = $3 == table; next }
        /^\.El/ { inside = 0 }
        inside { printf "%s ", $0 }
    ' man/spool.5
}

check_records() {
    record_rows >"$tmp/records"
    [ -s "$tmp/records" ] || fault "no record table found"
    cut -d ' ' -f 1,2 "$tmp/records" | sort | uniq -d >"$tmp/twice"
    while read -r type tag; do
        fault "record $type uses the tag $tag twice"
    done <"$tmp/twice"
    page spool.5 || return
    while read -r type table; do
        record_text "$table" >"$tmp/text"
        grep "^$type " "$tmp/records" >"$tmp/fields" ||
            fault "no field of the record $type found"
        while read -r _ tag member; do
            grep -qE "(^| )$tag $member[ ,.(]" "$tmp/text" ||
                fault "man/spool.5, $table, lacks \"$tag $member\""
        done <"$tmp/fields"
    done <<TYPES
message message
delivery delivery
target_health target
ledger_entry ledger
db_totals setting
mark mark
address_row address
structure_row structure
account user
TYPES
}

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
check_conf
check_events
check_commands
check_records
[ "$faults" = 0 ]
