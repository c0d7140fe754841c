/* SPDX-License-Identifier: ISC */
/* Which hosts take a domain's mail: RFC 5321 5.1 and RFC 7505 as a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "mem.h"
#include "mx.h"

#define SELF VIEW("mx2.example.com")

#define A     VIEW("\0\012\1a\0")
#define A_20  VIEW("\0\024\1A\0")
#define B     VIEW("\0\012\1b\0")
#define C_20  VIEW("\0\024\1c\0")
#define D_30  VIEW("\0\036\1d\0")
#define ME_20 VIEW("\0\024\3MX2\7example\3com\0")
#define ROOT  VIEW("\0\0\0")
#define JUNK  VIEW("\0\0\1*\0")

    static const struct {
    struct view records[6];
    size_t n;
    enum mx_verdict verdict;
    const char *hosts; /* in order */
} cases[] = {
    {{{NULL, 0}}, 0, MX_IMPLICIT, ""},
    {{ROOT}, 1, MX_NULL, ""},
    {{ROOT, ROOT}, 2, MX_BAD, ""},
    {{ROOT, A}, 2, MX_FOUND, "a"},
    {{JUNK}, 1, MX_BAD, ""},
    {{JUNK, A}, 2, MX_FOUND, "a"},
    {{D_30, C_20, B, A}, 4, MX_FOUND, "a b c d"},
    {{A_20, A, B}, 3, MX_FOUND, "a b"},
    /* ourselves: what is not better is left out */
    {{D_30, ME_20, C_20, B, A}, 5, MX_FOUND, "a b"},
    {{D_30, ME_20, C_20}, 3, MX_SELF, ""},
    {{ME_20}, 1, MX_SELF, ""},
};

static void
test_choose(void **state)
{
    struct dns_mx hosts[MX_HOSTS_MAX];
    size_t n;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char names[64] = "";

        assert_int_equal(
            mx_choose(cases[i].records, cases[i].n, SELF, hosts, &n),
            cases[i].verdict);
        for (size_t h = 0; h < n; h++) {
            strcat(names, h > 0 ? " " : "");
            strcat(names, hosts[h].name);
        }
        assert_string_equal(names, cases[i].hosts);
    }
}

/* A zone of a stranger with thousands of hosts: the best few are kept. */
static void
test_many(void **state)
{
    static char bytes[3000][8];
    struct view *records = mem_alloc(3000 * sizeof(*records));
    struct dns_mx hosts[MX_HOSTS_MAX];
    size_t n;

    (void)state;
    for (size_t i = 0; i < 3000; i++) {
        snprintf(bytes[i], sizeof(bytes[i]), "%c%c%c%c%c", 1, (char)(i & 127),
                 2, (char)('a' + i % 26), (char)('a' + i / 26 % 26));
        bytes[i][5] = '\0';
        records[i] = (struct view){bytes[i], 6};
    }
    assert_int_equal(mx_choose(records, 3000, SELF, hosts, &n), MX_FOUND);
    assert_int_equal(n, MX_HOSTS_MAX);
    assert_int_equal(hosts[0].preference, 256);
    assert_true(hosts[n - 1].preference <= 258);
    free(records);
}

static void
test_shuffle(void **state)
{
    static const unsigned ranks[] = {0, 1, 1, 1, 7, 9, 9};
    size_t order[7], firsts[7] = {0};

    (void)state;
    for (uint64_t random = 0; random < 900; random++) {
        mx_shuffle(ranks, 7, random * UINT64_C(0x9e3779b97f4a7c15), order);
        assert_int_equal(order[0], 0);
        assert_int_equal(order[4], 4);
        for (size_t i = 0; i < 7; i++)
            assert_int_equal(ranks[order[i]], ranks[i]);
        firsts[order[1]]++;
        firsts[order[5]]++;
    }
    for (size_t i = 1; i < 4; i++)
        assert_in_range(firsts[i], 200, 400);
    assert_in_range(firsts[5], 350, 550);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_shuffle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
