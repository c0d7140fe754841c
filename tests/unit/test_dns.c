/* SPDX-License-Identifier: ISC */
/* Bytes out of the DNS, hosts(5) and resolv.conf(5). */ #include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "dns.h"
#include "hosts.h"

    static void
    test_name(void **state)
{
    static const struct {
        struct view bytes;
        const char *name; /* NULL: refused */
    } cases[] = {
        {VIEW("\4mail\7eXample\3com\0rest"), "mail.example.com"},
        {VIEW("\0rest"), ""},
        {VIEW("\5_25_a\1-\0rest"), "_25_a.-"},
        {VIEW("\4mail"), NULL},
        {VIEW("\4mai"), NULL},
        {VIEW(""), NULL},
        {VIEW("\300\14"), NULL},
        {VIEW("\4ma l\0"), NULL},
        {VIEW("\4ma.l\0"), NULL},
        {VIEW("\4ma\0l\0"), NULL},
        {VIEW("\4m\303\244l\0"), NULL},
    };
    char name[DNS_NAME_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct view rest = cases[i].bytes;
        int result = dns_name_take(&rest, name);

        assert_int_equal(result, cases[i].name != NULL ? 0 : -1);
        if (result != 0)
            continue;
        assert_string_equal(name, cases[i].name);
        assert_int_equal(rest.len, 4);
    }
}

static void
test_name_is_limited(void **state)
{
    char bytes[400], name[DNS_NAME_MAX + 1];
    size_t n = 0;
    struct view view;

    (void)state;
    for (int i = 0; i < 4; i++) { /* 3 * 64 + 62 = 254 with the dots */
        bytes[n] = (char)(i < 3 ? 63 : 61);
        memset(bytes + n + 1, 'a', (size_t)bytes[n]);
        n += 1 + (size_t)bytes[n];
    }
    bytes[n] = '\0';
    view = (struct view){bytes, n + 1};
    assert_int_equal(dns_name_take(&view, name), 0);
    assert_int_equal(strlen(name), DNS_NAME_MAX);
    bytes[n] = 1;
    bytes[n + 1] = 'a';
    bytes[n + 2] = '\0';
    view = (struct view){bytes, n + 3};
    assert_int_equal(dns_name_take(&view, name), -1);
}

static void
test_mx(void **state)
{
    struct dns_mx mx;

    (void)state;
    assert_int_equal(dns_mx_read(VIEW("\1\2\1a\1B\0"), &mx), 0);
    assert_int_equal(mx.preference, 258);
    assert_string_equal(mx.name, "a.b");
    assert_int_equal(dns_mx_read(VIEW("\0\0\0"), &mx), 0);
    assert_string_equal(mx.name, "");
    assert_int_equal(dns_mx_read(VIEW("\0\0"), &mx), -1);
    assert_int_equal(dns_mx_read(VIEW("\0\0\0\0"), &mx), -1);
}

static void
test_tlsa(void **state)
{
    char bytes[3 + 64] = {3, 1, 1};
    struct dns_tlsa tlsa;

    (void)state;
    assert_int_equal(dns_tlsa_read((struct view){bytes, 35}, &tlsa), 0);
    assert_int_equal(tlsa.data.len, 32);
    assert_true(dns_tlsa_is_usable(&tlsa));
    tlsa.data.len = 31;
    assert_false(dns_tlsa_is_usable(&tlsa));
    tlsa.data.len = 64;
    tlsa.matching = 2;
    assert_true(dns_tlsa_is_usable(&tlsa));
    tlsa.matching = 0;
    tlsa.data.len = 7;
    assert_true(dns_tlsa_is_usable(&tlsa));
    tlsa.usage = 2;
    assert_true(dns_tlsa_is_usable(&tlsa));
    tlsa.usage = 1; /* PKIX-EE */
    assert_false(dns_tlsa_is_usable(&tlsa));
    tlsa.usage = 3;
    tlsa.selector = 2;
    assert_false(dns_tlsa_is_usable(&tlsa));
    tlsa.selector = 0;
    tlsa.matching = 3;
    assert_false(dns_tlsa_is_usable(&tlsa));
    assert_int_equal(dns_tlsa_read((struct view){bytes, 3}, &tlsa), -1);
}

static void
test_reverse(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr none = {.sa_family = AF_UNIX};
    char name[DNS_NAME_MAX + 1];

    (void)state;
    inet_pton(AF_INET, "192.0.2.17", &in.sin_addr);
    assert_int_equal(dns_reverse_name((struct sockaddr *)&in, name), 0);
    assert_string_equal(name, "17.2.0.192.in-addr.arpa");
    inet_pton(AF_INET6, "2001:db8::1f", &in6.sin6_addr);
    assert_int_equal(dns_reverse_name((struct sockaddr *)&in6, name), 0);
    assert_string_equal(name, "f.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
                              "8.b.d.0.1.0.0.2.ip6.arpa");
    assert_int_equal(dns_reverse_name(&none, name), -1);
}

#define HOSTS                                                                  \
    "# names\n"                                                                \
    "127.0.0.1\tlocalhost  one #two\r\n"                                       \
    "192.0.2.1 One one one\n"                                                  \
    "\n"                                                                       \
    "300.0.0.1 one\n"                                                          \
    "2001:db8::1 one\n"                                                        \
    "192.0.2.9"

static void
test_hosts(void **state)
{
    struct sockaddr_storage found[3];
    struct sockaddr_in *in = (struct sockaddr_in *)&found[1];

    (void)state;
    assert_int_equal(hosts_find(VIEW(HOSTS), VIEW("ONE"), found, 3), 3);
    assert_int_equal(found[0].ss_family, AF_INET);
    assert_int_equal(ntohl(in->sin_addr.s_addr), 0xc0000201);
    assert_int_equal(found[2].ss_family, AF_INET6);
    assert_int_equal(hosts_find(VIEW(HOSTS), VIEW("one"), found, 2), 2);
    assert_int_equal(hosts_find(VIEW(HOSTS), VIEW("two"), found, 3), 0);
    assert_int_equal(hosts_find(VIEW(HOSTS), VIEW("127.0.0.1"), found, 3), 0);
    assert_int_equal(hosts_find(VIEW(""), VIEW("one"), found, 3), 0);
    assert_int_equal(hosts_find(VIEW(HOSTS), VIEW(""), found, 3), 0);
}

static void
test_servers(void **state)
{
    struct view text = VIEW("search example.com\n; nameserver 192.0.2.9\n"
                            "nameserver 192.0.2.1\n nameserver\t::1 # x\n"
                            "nameserver mail.example\nnameservers 192.0.2.2\n"
                            "nameserver 192.0.2.3");
    struct view servers[3];

    (void)state;
    assert_int_equal(hosts_servers(text, servers, 3), 3);
    assert_true(view_equal(servers[0], VIEW("192.0.2.1")));
    assert_true(view_equal(servers[1], VIEW("::1")));
    assert_true(view_equal(servers[2], VIEW("192.0.2.3")));
    assert_int_equal(hosts_servers(text, servers, 1), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name),    cmocka_unit_test(test_name_is_limited),
        cmocka_unit_test(test_mx),      cmocka_unit_test(test_tlsa),
        cmocka_unit_test(test_reverse), cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_servers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
