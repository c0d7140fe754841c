/* SPDX-License-Identifier: ISC */
#include "glob.h"

static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* A "*" takes as little as it can and is given one more byte whenever what
 * follows it does not fit; only the last one met can need more. */
static bool
glob_run(struct view pattern, struct view text, bool within)
{
    size_t p = 0, t = 0;
    bool starred = within;
    size_t after_star = 0, resume = 0;

    while (t < text.len && !(within && p == pattern.len)) {
        if (p < pattern.len && pattern.data[p] == '*') {
            starred = true;
            after_star = ++p;
            resume = t;
        } else if (p < pattern.len &&
                   lower(pattern.data[p]) == lower(text.data[t])) {
            p++;
            t++;
        } else if (starred) {
            p = after_star;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.data[p] == '*')
        p++;
    return p == pattern.len;
}

bool
glob_matches(struct view pattern, struct view text)
{
    return glob_run(pattern, text, false);
}

bool
glob_within(struct view pattern, struct view text)
{
    return glob_run(pattern, text, true);
}
