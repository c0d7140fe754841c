/* SPDX-License-Identifier: ISC */
/*
 * network: addresses in and out of networks of both families.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "network.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *network;
    const char *address;
    bool inside;
} cases[] = {
    {"192.0.2.7", "192.0.2.7", true},
    {"192.0.2.7", "192.0.2.6", false},
    {"192.0.2.0/24", "192.0.2.255", true},
    {"192.0.2.0/24", "192.0.3.0", false},
    {"192.0.2.99/24", "192.0.2.1", true}, /* bits past the prefix */
    {"192.0.2.128/25", "192.0.2.127", false},
    {"192.0.2.128/25", "192.0.2.128", true},
    {"192.0.2.8/31", "192.0.2.9", true},
    {"192.0.2.8/31", "192.0.2.10", false},
    {"128.0.0.0/1", "255.0.0.1", true},
    {"128.0.0.0/1", "127.0.0.1", false},
    {"0.0.0.0/0", "203.0.113.1", true},
    {"0.0.0.0/0", "2001:db8::1", false},
    {"::/0", "2001:db8::1", true},
    {"::/0", "203.0.113.1", false},
    {"::/0", "::ffff:203.0.113.1", false},
    {"203.0.113.0/24", "::ffff:203.0.113.1", true},
    {"::ffff:203.0.113.0/24", "203.0.113.1", true},
    {"2001:db8::/32", "2001:db8:ffff::1", true},
    {"2001:db8::/33", "2001:db8:ffff::1", false},
    {"2001:db8::1", "2001:DB8:0::0001", true},
    {"2001:db8::1/128", "2001:db8::2", false},
    {"192.0.2.0/24", "", false},
    {"192.0.2.0/24", "192.0.2", false},
    {"192.0.2.0/24", "mx.example.org", false},
    {"::/0", "[2001:db8::1]", false},
};

static const char *const bad[] = {
    "",
    "/",
    "/24",
    "192.0.2",
    "192.0.2.0/",
    "192.0.2.0/33",
    "192.0.2.0/-1",
    "192.0.2.0/24/24",
    "192.0.2.256",
    "192.0.2.0 /24",
    "2001:db8::/129",
    "2001:db8:::",
    "fe80::1%eth0",
    "host.example",
    "1111:1111:1111:1111:1111:1111:255.255.255.255x1111:1111",
};

static void
test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct network network;

        assert_int_equal(network_parse(view_of(cases[i].network), &network), 0);
        if (network_has(&network, view_of(cases[i].address)) != cases[i].inside)
            fail_msg("%s and %s", cases[i].network, cases[i].address);
    }
}

static void
test_bad(void **state)
{
    struct network network;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (network_parse(view_of(bad[i]), &network) == 0)
            fail_msg("\"%s\" was read", bad[i]);
    assert_int_equal(network_parse((struct view){"192.0.2.7\0", 10}, &network),
                     -1);
    assert_int_equal(network_parse(VIEW("::/0"), &network), 0);
    assert_false(network_has(&network, (struct view){"::1\0", 4}));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_bad),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
