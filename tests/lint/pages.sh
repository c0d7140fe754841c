#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The manual pages are sound mdoc, and refer to pages that exist: ours, or of
# the system where it has them. Run from the top directory.

set -u
faults=0

mandoc -Tlint -W warning man/*.[1-8] || faults=1
for name in spoold.8 spoolctl.8 spoold.conf.5 spool.5 spoold.7; do
    [ -f "man/$name" ] || {
        echo "tests/lint/pages.sh: man/$name is missing" >&2
        faults=1
    }
done
sed -nE 's/^\.Xr (spool[a-z.]*) ([1-8]).*/\1.\2/p' man/*.[1-8] | sort -u |
    while read -r name; do
        [ -f "man/$name" ] || echo "$name"
    done | grep . >&2 && {
    echo "tests/lint/pages.sh: these are referred to and do not exist" >&2
    faults=1
}
[ "$faults" = 0 ]
