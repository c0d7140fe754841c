#!/bin/sh
# SPDX-License-Identifier: ISC
#
# What of GMime and GLib our objects use. GMime's own parsers recurse or take
# quadratic time on hostile input, so only what is listed here may be called,
# and only by the files named. Run from the top directory, after make.

set -u
faults=0

fault() {
    echo "tests/lint/gmime.sh: $*" >&2
    faults=$((faults + 1))
}

# "FILE SYMBOL"; a symbol that a file does not use any more is a fault too.
allowed() {
    cat <<EOF
mime_decode g_date_time_get_utc_offset
mime_decode g_date_time_to_unix
mime_decode g_date_time_unref
mime_decode g_free
mime_decode g_mime_encoding_flush
mime_decode g_mime_encoding_init_decode
mime_decode g_mime_encoding_outlen
mime_decode g_mime_encoding_step
mime_decode g_mime_init
mime_decode g_mime_utils_header_decode_date
mime_decode g_mime_utils_header_decode_text
mime_fold g_unichar_fully_decompose
mime_fold g_unichar_totitle
EOF
}

used() {
    for object in build/obj/*/*.o; do
        nm -u "$object" |
            sed -nE "s|.* (g_[a-z0-9_]+\|internet_address_[a-z0-9_]+)\$|$(
                basename "$object" .o) \1|p"
    done
}

if [ -f build/obj/libspool/mime_decode.o ]; then
    tmp=$(mktemp -d) || exit 1
    trap 'rm -rf "$tmp"' EXIT
    allowed | sort >"$tmp/allowed"
    used | sort >"$tmp/used"
    diff "$tmp/allowed" "$tmp/used" >"$tmp/diff" ||
        fault "allowed (<) and used (>) differ: $(cat "$tmp/diff")"
else
    fault 'there are no objects: run make first'
fi
[ "$faults" = 0 ]
