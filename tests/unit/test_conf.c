/* SPDX-License-Identifier: ISC */
/*
 * conf: what a file says arrives, defaults are those of the table, and every
 * mistake is refused with its file, line and reason. The traps of the parser
 * library that conf_scan.c lists each have a case.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "addr.h"
#include "buf.h"
#include "conf.h"
#include "conf_key.h"
#include "num.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- files in a directory of our own ------------------------------------- */

static char directory[] = "/tmp/test_conf.XXXXXX";

static const char *
path_of(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static void
write_file(const char *name, const void *bytes, size_t len)
{
    FILE *stream = fopen(path_of(name), "w");

    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, len, stream), len);
    fclose(stream);
}

static void
write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static struct conf *
load_text(const char *text, struct why *why)
{
    write_text("c", text);
    return conf_load(path_of("c"), why);
}

static struct conf *
load_good(const char *text)
{
    struct why why = {0};
    struct conf *conf = load_text(text, &why);

    assert_string_equal(why.text, "");
    assert_non_null(conf);
    return conf;
}

static int
set_up(void **state)
{
    (void)state;
    return mkdtemp(directory) == NULL;
}

static int
tear_down(void **state)
{
    static const char *const names[] = {"c",    "part", "rcpt",
                                        "cert", "key",  "sub/x"};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        unlink(path_of(names[i]));
    rmdir(path_of("sub"));
    return rmdir(directory);
}

static void
assert_view(struct view have, const char *want)
{
    assert_int_equal(have.len, strlen(want));
    assert_memory_equal(have.data, want, have.len);
}

static const struct conf_text *
text_in(const struct record_list *list, size_t i)
{
    assert_true(i < list->count);
    return (const struct conf_text *)list->items + i;
}

/* --- good files ---------------------------------------------------------- */

#define LISTEN "listen smtp { address = \"127.0.0.1:2525\" }\n"
#define TARGET "target office { hosts = mail.example.com }\n"
#define DOMAIN "domain example.com { target = office }\n"
#define HOST   "hostname = mx.example.com\n"
#define REST   LISTEN TARGET DOMAIN

static void
test_example(void **state)
{
    struct conf *conf = load_good(
        "# the example of the manual\n"
        "hostname = \"MX2.example.com\"\n"
        "spool    = \"/var/lib/spoold\"\n"
        "control  = '/run/spoold/control'   # a comment\n"
        "user     = mail\r\n"
        "tls {\n  certificate = \"/etc/x.pem\"\n  key = \"/etc/x.key\"\n}\n"
        "listen smtp { address = { \"[::]:25\", 127.0.0.1:2525 } }\n"
        "target office {\n"
        "    hosts = { \"mail.example.com\", \"192.0.2.1:26\",\n"
        "              \"[2001:db8::1]:27\" }\n"
        "    port = 2500   tls = \"none\"  client = none  mx = false\n"
        "    connections = 7\n"
        "    messages-per-connection = 8\n"
        "    probe-min = 10s  probe-max = \"20m\"\n"
        "    retry-min = 2m   retry-max = 3h\n"
        "    connect-timeout = 1s reply-timeout = 2s final-timeout = 3s\n"
        "}\n"
        "target \"dsn\" { hosts = \"[2001:db8::2]\" }\n"
        "domain \"Example.COM\" {\n"
        "    target = \"office\"\n    return-target = dsn\n"
        "    recipients = list\n    recipient-file = \"/etc/rcpt\"\n"
        "    hold-for = 2w   warn-after = 0\n"
        "}\n"
        "domain a.example { target = dsn }\n"
        "limit { message-size = 25M recipients = 100 }\n"
        "store { compression = 9 seal = false keep-delivered = 0 }\n"
        "limit { reserve = 2G }\n");
    const struct conf_target *target =
        conf_target_by_name(conf, VIEW("office"));
    const struct conf_domain *domain =
        conf_domain_by_name(conf, VIEW("eXample.com"));
    const struct conf_listen *listen = conf->listens.items;

    (void)state;
    assert_view(conf->hostname, "mx2.example.com");
    assert_view(conf->spool, "/var/lib/spoold");
    assert_view(conf->control, "/run/spoold/control");
    assert_view(conf->user, "mail");
    assert_view(conf->tls_certificate, "/etc/x.pem");
    assert_view(conf->tls_key, "/etc/x.key");
    assert_int_equal(conf->listens.count, 1);
    assert_view(listen->service, "smtp");
    assert_int_equal(listen->addresses.count, 2);
    assert_view(text_in(&listen->addresses, 0)->text, "[::]:25");
    assert_view(text_in(&listen->addresses, 1)->text, "127.0.0.1:2525");
    assert_int_equal(conf->targets.count, 2);
    assert_non_null(target);
    assert_int_equal(target->hosts.count, 3);
    assert_view(text_in(&target->hosts, 2)->text, "[2001:db8::1]:27");
    assert_int_equal(target->port, 2500);
    assert_int_equal(target->tls, CONF_TLS_NONE);
    assert_int_equal(target->connections, 7);
    assert_int_equal(target->messages_per_connection, 8);
    assert_int_equal(target->probe_min_ms, 10000);
    assert_int_equal(target->probe_max_ms, 1200000);
    assert_int_equal(target->retry_max_ms, 3 * 3600000);
    assert_int_equal(target->final_timeout_ms, 3000);
    assert_non_null(domain);
    assert_view(domain->name, "example.com");
    assert_view(domain->return_target, "dsn");
    assert_int_equal(domain->recipients, CONF_RECIPIENTS_LIST);
    assert_int_equal(domain->hold_for_ms, 14 * 86400000LL);
    domain = conf_domain_by_name(conf, VIEW("a.example"));
    assert_non_null(domain);
    assert_view(domain->return_target, "dsn");
    assert_int_equal(domain->recipients, CONF_RECIPIENTS_ANY);
    assert_int_equal(conf->message_size, 25 << 20);
    assert_int_equal(conf->reserve, UINT64_C(2) << 30);
    assert_int_equal(conf->compression, 9);
    assert_int_equal(conf->keep_delivered_ms, 0);
    assert_null(conf_domain_by_name(conf, VIEW("b.example")));
    assert_null(conf_domain_by_name(conf, VIEW("")));
    assert_null(conf_target_by_name(conf, VIEW("Office")));
    conf_free(&conf);
    assert_null(conf);
}

/* The defaults of the issue and of spoold.conf(5). */
static void
test_defaults(void **state)
{
    struct conf *conf = load_good(HOST REST);
    const struct conf_target *target = conf->targets.items;
    const struct conf_domain *domain = conf->domains.items;

    (void)state;
    assert_view(conf->spool, "/var/lib/spoold");
    assert_view(conf->control, "/run/spoold/control");
    assert_view(conf->user, "spoold");
    assert_int_equal(conf->tls_certificate.len + conf->tls_key.len, 0);
    assert_int_equal(target->port, 25);
    assert_int_equal(target->mx, 0);
    assert_int_equal(target->tls, CONF_TLS_OPPORTUNISTIC);
    assert_int_equal(conf->resolver_mode, CONF_RESOLVER_SYSTEM);
    assert_int_equal(conf->dnssec, 1);
    assert_view(conf->hosts_file, "/etc/hosts");
    assert_int_equal(conf->resolver_timeout_ms, 10000);
    assert_int_equal(target->client, CONF_CLIENT_NONE);
    assert_int_equal(target->protocol, CONF_PROTOCOL_SMTP);
    assert_int_equal(target->connections, 20);
    assert_int_equal(target->messages_per_connection, 100);
    assert_int_equal(target->probe_min_ms, 30000);
    assert_int_equal(target->probe_max_ms, 300000);
    assert_int_equal(target->retry_min_ms, 60000);
    assert_int_equal(target->retry_max_ms, 3600000);
    assert_int_equal(target->connect_timeout_ms, 30000);
    assert_int_equal(target->reply_timeout_ms, 300000);
    assert_int_equal(target->final_timeout_ms, 600000);
    assert_view(domain->return_target, "office");
    assert_int_equal(domain->hold_for_ms, 30 * 86400000LL);
    assert_int_equal(domain->warn_after_ms, 0);
    assert_int_equal(conf->message_size, 50 << 20);
    assert_int_equal(conf->recipients, 1000);
    assert_int_equal(conf->connections, 2000);
    assert_int_equal(conf->connections_per_client, 50);
    assert_int_equal(conf->reserve, 1 << 30);
    assert_int_equal(conf->memory, 64 << 20);
    assert_int_equal(conf->errors, 20);
    assert_int_equal(conf->hops, 100);
    assert_int_equal(conf->command_timeout_ms, 300000);
    assert_int_equal(conf->data_timeout_ms, 300000);
    assert_int_equal(conf->drain_ms, 30000);
    assert_int_equal(conf->compression, 3);
    assert_int_equal(conf->seal, 1);
    assert_int_equal(conf->compact, 1);
    assert_int_equal(conf->domain_share, 75);
    assert_non_null(
        memmem(conf->key_file.data, conf->key_file.len, "/spool.key", 10));
    assert_int_equal(conf->keep_delivered_ms, 3 * 86400000LL);
    conf_free(&conf);
}

static void
test_own_hostname(void **state)
{
    char name[256];
    struct why why = {0};
    struct conf *conf = load_text(REST, &why);

    (void)state;
    assert_int_equal(gethostname(name, sizeof(name)), 0);
    if (addr_is_domain(view_of(name)) && strchr(name, '.') != NULL) {
        assert_non_null(conf);
        assert_true(view_equal_nocase(conf->hostname, view_of(name)));
    } else {
        assert_null(conf);
        assert_non_null(strstr(why.text, "/c: hostname is missing"));
    }
    conf_free(&conf);
}

/* Paths start where the file stands, an included one in its own place. */
static void
test_relative_paths(void **state)
{
    char want[512];
    struct conf *conf;

    (void)state;
    mkdir(path_of("sub"), 0700);
    write_text("sub/x", "control = \"sock\"\n");
    conf = load_good(HOST "spool = held\ninclude('sub/x')\n" REST);
    snprintf(want, sizeof(want), "%s/held", directory);
    assert_view(conf->spool, want);
    snprintf(want, sizeof(want), "%s/sub/sock", directory);
    assert_view(conf->control, want);
    conf_free(&conf);
}

static void
test_include_in_section(void **state)
{
    struct conf *conf;

    (void)state;
    write_text("part", "connections = 3\n# end\nport = 26\n");
    conf = load_good(HOST LISTEN DOMAIN "target office {\n hosts = a.example\n"
                                        " include(\"part\")\n}\n");
    assert_int_equal(((struct conf_target *)conf->targets.items)->port, 26);
    assert_int_equal(((struct conf_target *)conf->targets.items)->connections,
                     3);
    conf_free(&conf);
}

static void
test_codec(void **state)
{
    struct conf *conf = load_good(HOST REST "domain b.example { target = "
                                            "office }");
    struct buf first = {0}, second = {0};
    struct why why;
    struct conf *copy;

    (void)state;
    conf_encode(conf, &first);
    copy = conf_decode(buf_view(&first), &why);
    assert_non_null(copy);
    memset(first.data, 0, first.len); /* it has a copy of its own */
    conf_encode(conf, &second);
    buf_reset(&first);
    conf_encode(copy, &first);
    assert_true(view_equal(buf_view(&first), buf_view(&second)));
    assert_non_null(conf_domain_by_name(copy, VIEW("B.example")));
    for (size_t n = 1; n < first.len; n++) { /* cut anywhere: no crash */
        struct conf *cut = conf_decode((struct view){first.data, n}, &why);

        conf_free(&cut);
    }
    conf_free(&copy);
    conf_free(&conf);
    buf_free(&first);
    buf_free(&second);
}

/* Many sections: sorted, all found. */
static void
test_many(void **state)
{
    struct buf text = {0};
    struct conf *conf;

    (void)state;
    buf_add_text(&text, HOST LISTEN TARGET);
    for (int i = 0; i < 500; i++)
        buf_addf(&text, "domain d%d.example { target = office }\n", i * 7919);
    buf_add_byte(&text, '\0');
    conf = load_good(text.data);
    for (int i = 0; i < 500; i++) {
        buf_reset(&text);
        buf_addf(&text, "D%d.example", i * 7919);
        assert_non_null(conf_domain_by_name(conf, buf_view(&text)));
    }
    assert_null(conf_domain_by_name(conf, VIEW("d1.example")));
    conf_free(&conf);
    buf_free(&text);
}

/* --- bad files ----------------------------------------------------------- */

/* The reason follows "DIRECTORY/"; '^' stands for "DIRECTORY/". The text is
 * preceded by HOST in line 1 unless whole is set. */
static const struct {
    const char *text;
    const char *reason;
} bad[] = {
    /* keys, values, lines: comments and lists must not shift them */
    {REST "\n# one\n## two\n\nprimry = 5\n", "c:9: no such option 'primry'"},
    {REST "target x {\n # c\n\n foo = 5\n}",
     "c:8: target \"x\": no such option 'foo'"},
    {"limit {\n x = 5\n}", "c:3: limit: no such option 'x'"},
    {"\nlisten smtp {\n address = {\n \"127.0.0.1:25\",\n \"x:25\"\n } }",
     "c:6: address: \"x:25\": an address and a port are needed, as in "
     "\"127.0.0.1:25\" or \"[::]:25\""},
    {"limit {\n recipients = 010 x = 1 }", "c:3: limit: no such option 'x'"},
    {LISTEN DOMAIN "target office { hosts = a\n port = 0x19 }",
     "c:5: port: \"0x19\" is not a number"},
    {LISTEN DOMAIN "target office { hosts = a\n\n port = 70000 }",
     "c:6: port: 70000 is out of range 1..65535"},
    {LISTEN DOMAIN "target office { hosts = a port = -1 }",
     "c:4: port: \"-1\" is not a number"},
    {LISTEN DOMAIN "target office { hosts = a probe-min = 5 }",
     "c:4: probe-min: \"5\" is not a duration (use e.g. 90s, 5m, 4h, 14d)"},
    {LISTEN DOMAIN "target office { hosts = a probe-max = 2d }",
     "c:4: probe-max: duration 2d is out of range 100ms..1d"},
    {LISTEN DOMAIN "target office { hosts = a tls = maybe }",
     "c:4: tls: \"maybe\" is not known; use none, opportunistic, require, "
     "verify, dane"},
    {LISTEN DOMAIN "target office { hosts = a tls = \"\" }",
     "c:4: tls: an empty text"},
    {LISTEN DOMAIN "target office { hosts = a client = foo }",
     "c:4: client: \"foo\" is not known; use none, xforward, xclient"},
    {LISTEN DOMAIN "target office { hosts = a protocol = uucp }",
     "c:4: protocol: \"uucp\" is not known; use smtp, lmtp"},
    {LISTEN DOMAIN "target office { hosts = a protocol = lmtp }",
     "c:4: \"a\": LMTP is never on port 25: name its port, or the path of its "
     "socket"},
    {LISTEN DOMAIN "target office { hosts = { \"a:24\", \"b:25\" } port = 24\n"
                   "protocol = lmtp }",
     "c:4: \"b:25\": LMTP is never on port 25: name its port, or the path of "
     "its socket"},
    {LISTEN DOMAIN "target office { hosts = a mx = yes }",
     "c:4: mx: \"yes\" is not known; use true, false"},
    {LISTEN DOMAIN "target office { hosts = \"a b\" }",
     "c:4: hosts: \"a b\" is neither a host name nor an address"},
    {LISTEN DOMAIN "target office { hosts = 300.0.0.1 }",
     "c:4: hosts: \"300.0.0.1\" is neither a host name nor an address"},
    {REST "limit { message-size = 5X }",
     "c:5: message-size: \"5X\" is not a size (use e.g. 512K, 25M, 2G)"},
    {REST "limit { message-size = 5T }",
     "c:5: message-size: size 5T is out of range 1K..2G"},
    {REST "store { seal = maybe }",
     "c:5: seal: \"maybe\" is not known; use true, false"},
    {REST "store { compression = 10 }",
     "c:5: compression: 10 is out of range 0..9"},
    {LISTEN TARGET "domain a.b { target = office warn-after = 366d }",
     "c:4: warn-after: duration 366d is out of range 0..365d"},
    {LISTEN TARGET "domain a.b { target = office return = authenticated }",
     "c:4: return: authenticated comes with a later version; use always, "
     "never"},
    {LISTEN TARGET "domain a.b { target = office recipients = learned }",
     "c:4: recipients: learned comes with a later version; use any, list"},
    {LISTEN TARGET "domain a.b { target = office recipients = all }",
     "c:4: recipients: \"all\" is not known; use any, list"},

    /* what belongs together */
    {LISTEN TARGET "\ndomain a.b {\n\n target = home\n}",
     "c:7: target: there is no target \"home\""},
    {LISTEN TARGET "domain a.b {\n target = office\n return-target = x\n}",
     "c:6: return-target: there is no target \"x\""},
    {LISTEN TARGET "\n\ndomain a.b {\n recipients = any\n}\n\n",
     "c:6: domain \"a.b\": target is missing: the target its mail goes to"},
    {LISTEN DOMAIN "target office {\n port = 26\n}",
     "c:4: target \"office\": hosts is missing: name the hosts it "
     "has, or set mx = true"},
    {LISTEN DOMAIN "target office {\n hosts = {}\n}",
     "c:4: target \"office\": hosts is missing: name the hosts it "
     "has, or set mx = true"},
    {REST "domain x.y {\n target = office\n recipients = list\n}",
     "c:7: recipients = list needs recipient-file"},
    {REST "domain x.y {\n target = office\n recipient-file = list\n}",
     "c:7: recipient-file needs recipients = list"},
    {REST "domain EXAMPLE.com {\n target = office\n}",
     "c:5: the domain example.com is there already"},
    {REST "\ndomain example.com { target = office }",
     "c:6: found duplicate title 'example.com'"},
    {REST "target office { hosts = a }", "c:5: found duplicate title 'office'"},
    {REST "domain \"\" { target = office }", "c:5: \"\" is not a domain name"},
    {REST "domain \"[192.0.2.1]\" { target = office }",
     "c:5: \"[192.0.2.1]\" is not a domain name"},
    {REST "domain \"b\xc3\xbc.example\" { target = office }",
     "c:5: \"b\xc3\xbc.example\": write a domain in ASCII, as xn--..."},
    {REST "target \"a b\" { hosts = a }",
     "c:5: a target's name has up to 64 letters, digits, \"-\", \"_\" and "
     "\".\""},
    {REST "target x { hosts = a\n probe-min = 6m }",
     "c:6: probe-min (6m) is above probe-max (5m)"},
    {REST "target x { hosts = a\n retry-min = 6h\n retry-max = 5h\n}",
     "c:7: retry-min (6h) is above retry-max (5h)"},
    {LISTEN DOMAIN "target office {\n mx = true\n}\n"
                   "domain b.c { target = office }",
     "c:5: mx: not exactly one domain names this target; say in mx-domain "
     "whose MX records count"},
    {REST "target x {\n mx = true\n}",
     "c:6: mx: not exactly one domain names this target; say in mx-domain "
     "whose MX records count"},
    {REST "target x {\n hosts = a\n mx-domain = b.c\n}",
     "c:7: mx-domain needs mx = true"},
    {REST "target x {\n hosts = a\n tls-ca = b\n}",
     "c:7: tls-ca needs tls = verify"},
    {REST "target x {\n hosts = a tls = verify\n tls-fingerprint = b\n}",
     "c:7: tls-fingerprint: \"b\" has 1 hex digits, SHA-256 has 64"},
    {REST "target x {\n hosts = a tls = verify\n tls-name = \"a b\"\n}",
     "c:7: tls-name: \"a b\" is not a domain name"},
    {REST "target x {\n hosts = 192.0.2.1\n tls = dane\n}",
     "c:6: tls = dane needs names in place of \"192.0.2.1\": TLSA records are "
     "found by name"},
    {REST "target x {\n hosts = a\n tls = dane\n}\n"
          "resolver { dnssec = false }",
     "c:7: tls = dane needs dnssec = true in resolver"},
    {REST "resolver {\n mode = forward\n}",
     "c:6: mode = forward needs forwarders"},
    {REST "resolver {\n forwarders = 192.0.2.1\n}",
     "c:6: forwarders needs mode = forward"},
    {REST "resolver { mode = forward\n forwarders = ns.example\n}",
     "c:6: forwarders: \"ns.example\" is not an address"},
    {REST "resolver { insecure = { \"lan\", \"a b\" } }",
     "c:5: insecure: \"a b\" is not a domain name"},
    {REST "tls {\n certificate = x\n}", "c:6: certificate needs key beside it"},
    {REST "tls { key = x }", "c:5: key needs certificate beside it"},
    {REST "listen status {\n address = 127.0.0.1:143\n}",
     "c:5: listen status comes with a later version; this one serves smtp, "
     "imap and imaps"},
    {REST "listen pop { address = 127.0.0.1:143 }",
     "c:5: there is no service \"pop\"; use smtp, imap or "
     "imaps"},
    {"listen smtp {\n address = { \"[::]:25\", 1.1.1.1:1, [::]:25 } }" TARGET
         DOMAIN,
     "c:3: [::]:25 is given twice"},
    {"control = \"/0123456789012345678901234567890123456789012345678901234567"
     "89012345678901234567890123456789012345678901234567890123\"\n" REST,
     "c:2: control: a socket's path has at most 107 bytes"},
    {"hostname = x\n" REST, "c:2: hostname is set already at ^c:1"},
    {"spool = \"\"\n" REST, "c:2: spool: an empty text"},
    {TARGET DOMAIN,
     "c: nothing listens: listen smtp { address = \"[::]:25\" } is missing"},
    {LISTEN TARGET, "c: no mail would be taken: a domain section is missing"},

    /* repeated keys */
    {"limit {\n errors = 5\n}\nlimit { hops = 7\n errors = 6\n}\n",
     "c:6: errors is set already at ^c:3"},
    {"target x {\n hosts = { a, b }\n hosts = c }",
     "c:4: hosts is set already at ^c:3"},
    {"target x {\n hosts = { a, b }\n hosts = {}\n }",
     "c:3: hosts is set twice"},

    /* the library's traps, see conf_scan.c */
    {"\ntarget x {\n hosts = a\n", "c:3: the \"{\" of this line is not closed"},
    {"\ntarget x {\n hosts = {a\n }\n",
     "c:3: the \"{\" of this line is not closed"},
    {"a = 1 }\n", "c:2: \"}\" without \"{\""},
    {"user = \"abc\nspool = \"x\"\n",
     "c:2: the text in quotes does not end in its line"},
    {"user = 'abc\n", "c:2: the text in quotes does not end in its line"},
    {"user = 'abc", "c:2: the text in quotes does not end in its line"},
    {"user = \"a\\tb\"",
     "c:2: in quotes \"\\\" stands before \\ or the quote only"},
    {"user = \"a\\999\"",
     "c:2: in quotes \"\\\" stands before \\ or the quote only"},
    {"user = abc;\n",
     "c:2: \";\" has no meaning here; a line ends a setting by itself"},
    {"// comment\n", "c:2: comments start with \"#\"; put a text with \"//\" "
                     "in quotes"},
    {"/* comment */\n", "c:2: comments start with \"#\"; put a text with "
                        "\"/*\" in quotes"},
    {"user = \"${HOME}\"", "c:2: ${...} is not replaced here; if the text is "
                           "meant, use single quotes"},
    {"user = ${HOME}", "c:2: ${...} is not replaced here; if the text is "
                       "meant, use single quotes"},
    {"user = a*b", "c:2: put a text with \"*\" in quotes"},
    {"user += b", "c:2: put a text with \"+\" in quotes"},
    {"limit|errors = 5", "c:2: put a text with \"|\" in quotes"},
    {"user = \x01", "c:2: a byte \\x01 has no place here"},
    {"{{{{{{{{{", "c:2: braces are nested too deeply"},
    {"user = a, b", "c:2: unexpected token ','"},
    {"user b", "c:2: missing equal sign after option 'user'"},
    {"target { hosts = a }", "c:2: missing title for section 'target'"},
    {"tls = 5", "c:2: missing opening brace for section 'tls'"},

    /* includes */
    {"\ninclude(\"nothing\")", "c:3: ^nothing: No such file or directory"},
    {"include()", "c:2: include takes the name of one file"},
    {"include(a, b)", "c:2: include takes the name of one file"},
    {"include(\"..\")", "c:2: ^..: not a regular file"},
};

/* text with '^' replaced by the directory, behind the directory */
static void
expand(const char *text, struct buf *out)
{
    buf_reset(out);
    buf_addf(out, "%s/", directory);
    for (; *text != '\0'; text++)
        if (*text == '^')
            buf_addf(out, "%s/", directory);
        else
            buf_add_byte(out, (uint8_t)*text);
    buf_add_byte(out, '\0');
}

static void
test_bad(void **state)
{
    struct buf text = {0}, reason = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct why why = {0};
        struct conf *conf;

        buf_reset(&text);
        buf_add_text(&text, HOST);
        buf_add(&text, bad[i].text, strlen(bad[i].text) + 1);
        expand(bad[i].reason, &reason);
        conf = load_text(text.data, &why);
        assert_string_equal(why.text, reason.data);
        assert_null(conf);
        conf = load_good(HOST REST); /* nothing of it is left behind */
        conf_free(&conf);
    }
    buf_free(&text);
    buf_free(&reason);
}

/* In an included file the reason names that file. */
static const struct {
    const char *part;
    const char *reason;
} bad_parts[] = {
    {"\nfoo = 1\n", "part:2: target \"x\": no such option 'foo'"},
    {"port = 1\n\nport = 2\n", "part:3: port is set already at ^part:1"},
    {"hosts = a port = 99999\n",
     "part:1: port: 99999 is out of range 1..65535"},
    {"hosts = a }\n", "part:1: \"}\" without \"{\""},
    {"hosts = { a\n", "part:1: the \"{\" of this line is not closed"},
    {"include(part)\n", "part:1: includes are nested more than 10 deep"},
    {"port = ", "part:2: target \"x\": premature end of file"},
    {"", "c:5: target \"x\": hosts is missing: name the hosts it "
         "has, or set mx = true"},
};

static void
test_bad_included(void **state)
{
    struct buf reason = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(bad_parts); i++) {
        struct why why = {0};

        write_text("part", bad_parts[i].part);
        expand(bad_parts[i].reason, &reason);
        assert_null(load_text(HOST REST "target x {\n include(part)\n}\n"
                                        "limit { errors = 5 }\n",
                              &why));
        assert_string_equal(why.text, reason.data);
    }
    buf_free(&reason);
}

static void
test_nul(void **state)
{
    static const char text[] = "user = a\0b\n";
    struct why why = {0};

    (void)state;
    write_file("c", text, sizeof(text) - 1);
    assert_null(conf_load(path_of("c"), &why));
    assert_non_null(strstr(why.text, "/c:1: a byte \\x00 has no place here"));
}

static void
test_no_file(void **state)
{
    struct why why = {0};
    struct buf want = {0};

    (void)state;
    expand("sub/none: No such file or directory", &want);
    assert_null(conf_load(path_of("sub/none"), &why));
    assert_string_equal(why.text, want.data);
    assert_null(conf_load(directory, &why));
    assert_non_null(strstr(why.text, ": not a regular file"));
    buf_free(&want);
}

/* --- files named by the configuration ------------------------------------ */

static void
check(const char *text, const char *reason)
{
    struct conf *conf = load_good(text);
    struct why why = {0};
    struct buf want = {0};

    if (reason == NULL) {
        assert_int_equal(conf_check(conf, &why), 0);
    } else {
        expand(reason, &want);
        assert_int_equal(conf_check(conf, &why), -1);
        assert_string_equal(why.text, want.data);
    }
    buf_free(&want);
    conf_free(&conf);
}

#define WITH_TLS                                                               \
    HOST "user = root\n" REST "tls { certificate = cert key = key }\n"
#define WITH_LIST                                                              \
    HOST "user = root\n" LISTEN TARGET                                         \
         "domain example.com {\n target = office\n recipients = list\n"        \
         " recipient-file = rcpt\n}\n"

static void
test_check(void **state)
{
    (void)state;
    check(HOST "user = root\n" REST, NULL);
    check(WITH_LIST, "rcpt: No such file or directory");
    write_text("rcpt", "anna\nbob@example.com\n");
    check(WITH_LIST, NULL);
    write_text("rcpt", "anna\n\nbob@example.org\n");
    check(WITH_LIST, "rcpt:3: \"bob@example.org\" is not in the domain "
                     "example.com");
    check(WITH_TLS, "cert: No such file or directory");
    write_text("cert", "-----BEGIN CERTIFICATE-----\n");
    write_text("key", "");
    check(WITH_TLS, "key: holds no private key in PEM form");
    write_text("key", "-----BEGIN EC PRIVATE KEY-----\n");
    check(WITH_TLS, NULL);
}

static void
test_check_user(void **state)
{
    struct conf *conf = load_good(HOST "user = \"no such user\"\n" REST);
    struct why why;

    (void)state;
    assert_int_equal(conf_check(conf, &why), geteuid() == 0 ? -1 : 0);
    conf_free(&conf);
}

/* --- where mail goes and what must be proved ------------------------------ */

static void
test_mx(void **state)
{
    struct conf *conf = load_good(
        HOST LISTEN
        "target a { mx = true }\n"
        "target b { mx = true hosts = fallback.example mx-domain = B.Example "
        "}\n"
        "domain one.example { target = a }\n"
        "domain two.example { target = b }\n"
        "domain three.example { target = b }\n"
        "resolver { mode = forward forwarders = { \"127.0.0.1:5353\", ::1 }\n"
        "  insecure = { Lan, corp.example } timeout = 2s }\n");
    const struct conf_target *targets = conf->targets.items;

    (void)state;
    assert_view(targets[0].mx_domain, "one.example");
    assert_int_equal(targets[0].hosts.count, 0);
    assert_view(targets[1].mx_domain, "b.example");
    assert_int_equal(targets[1].hosts.count, 1);
    assert_int_equal(conf->resolver_mode, CONF_RESOLVER_FORWARD);
    assert_int_equal(conf->forwarders.count, 2);
    assert_view(text_in(&conf->insecure, 0)->text, "lan");
    assert_int_equal(conf->resolver_timeout_ms, 2000);
    conf_free(&conf);
}

#define DIGITS "0123456789abcdefFEDCBA9876543210"

static void
test_fingerprint(void **state)
{
    char bytes[CONF_FINGERPRINT_BYTES], again[CONF_FINGERPRINT_BYTES];
    struct buf colons = {0};
    struct why why;

    (void)state;
    assert_int_equal(conf_fingerprint_parse(VIEW(DIGITS DIGITS), bytes, &why),
                     0);
    assert_int_equal((unsigned char)bytes[0], 0x01);
    assert_int_equal((unsigned char)bytes[8], 0xfe);
    assert_int_equal((unsigned char)bytes[31], 0x10);
    for (size_t i = 0; i < 32; i++)
        buf_addf(&colons, "%s%02X", i > 0 ? ":" : "", (unsigned char)bytes[i]);
    assert_int_equal(conf_fingerprint_parse(buf_view(&colons), again, &why), 0);
    assert_memory_equal(bytes, again, sizeof(bytes));
    buf_free(&colons);
    assert_int_equal(conf_fingerprint_parse(VIEW(DIGITS), bytes, &why), -1);
    assert_int_equal(
        conf_fingerprint_parse(VIEW(DIGITS DIGITS "0"), bytes, &why), -1);
    assert_int_equal(
        conf_fingerprint_parse(VIEW(DIGITS DIGITS ":"), bytes, &why), -1);
    assert_int_equal(
        conf_fingerprint_parse(VIEW(":" DIGITS DIGITS), bytes, &why), -1);
    assert_int_equal(
        conf_fingerprint_parse(VIEW("01::23" DIGITS DIGITS), bytes, &why), -1);
    assert_int_equal(conf_fingerprint_parse(VIEW(""), bytes, &why), -1);
}

/* --- hosts --------------------------------------------------------------- */

static void
test_hosts(void **state)
{
    static const struct {
        const char *text, *host;
        enum conf_host_kind kind;
        unsigned port;
    } good[] = {
        {"mail.example.com", "mail.example.com", CONF_HOST_NAME, 0},
        {"mail:2525", "mail", CONF_HOST_NAME, 2525},
        {"192.0.2.1", "192.0.2.1", CONF_HOST_IPV4, 0},
        {"192.0.2.1:65535", "192.0.2.1", CONF_HOST_IPV4, 65535},
        {"[2001:db8::1]", "2001:db8::1", CONF_HOST_IPV6, 0},
        {"[::]:25", "::", CONF_HOST_IPV6, 25},
        {"2001:db8::1", "2001:db8::1", CONF_HOST_IPV6, 0},
        {"::1", "::1", CONF_HOST_IPV6, 0},
        {"/run/dovecot/lmtp", "/run/dovecot/lmtp", CONF_HOST_PATH, 0},
        {"/a:25", "/a:25", CONF_HOST_PATH, 0},
    };
    static const char *const wrong[] = {
        "",
        ":25",
        "a:",
        "a:0",
        "a:65536",
        "a:b",
        "[::1",
        "[::1]25",
        "[::1]:",
        "[a]:25",
        "[]",
        "1.2.3",
        "a..b",
        "-a.b",
        "a b",
        "1::2::3",
        "[192.0.2.1]:25",
        "1.2.3.4.5",
        "a:b:c",
        "[::1]:25:",
        "\x01",
        "a/b",
        /* One byte too long for the address of a socket. */
        "/23456789012345678901234567890123456789012345678901234567890"
        "123456789012345678901234567890123456789012345678",
    };
    struct conf_host host;
    struct why why;

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_int_equal(conf_host_parse(view_of(good[i].text), &host, &why),
                         0);
        assert_view(host.host, good[i].host);
        assert_int_equal(host.kind, good[i].kind);
        assert_int_equal(host.port, good[i].port);
    }
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(conf_host_parse(view_of(wrong[i]), &host, &why), -1);
}

/* Limits that are written wrong in the table would end the daemon at the
 * first use of the key: try them all. */
static void
test_table(void **state)
{
    static int (*const parse[CONF_KIND_COUNT])(struct view, uint64_t, uint64_t,
                                               uint64_t *, struct why *) = {
        [CONF_NUM] = num_parse,
        [CONF_SIZE] = num_parse_size,
        [CONF_TIME] = num_parse_duration,
    };

    (void)state;
    for (size_t i = 0; i < conf_n_keys; i++) {
        const struct conf_key *key = &conf_keys[i];
        uint64_t low, high, value;
        struct why why;

        assert_true(key->kind < CONF_KIND_COUNT && *key->sentence != '\0');
        for (size_t k = 0; k < i; k++)
            assert_true(key->section != conf_keys[k].section ||
                        strcmp(key->name, conf_keys[k].name) != 0);
        if (parse[key->kind] == NULL)
            continue;
        assert_int_equal(
            parse[key->kind](view_of(key->low), 0, UINT64_MAX, &low, &why), 0);
        assert_int_equal(
            parse[key->kind](view_of(key->high), 0, UINT64_MAX, &high, &why),
            0);
        assert_int_equal(
            parse[key->kind](view_of(key->initial), low, high, &value, &why),
            0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_own_hostname),
        cmocka_unit_test(test_relative_paths),
        cmocka_unit_test(test_include_in_section),
        cmocka_unit_test(test_codec),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_bad_included),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_check_user),
        cmocka_unit_test(test_mx),
        cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_table),
    };

    return cmocka_run_group_tests_name("conf", tests, set_up, tear_down);
}
