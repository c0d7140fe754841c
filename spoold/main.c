/* SPDX-License-Identifier: ISC */
/*
 * Options; then this process is the parent, or with -x one of its roles.
 * Nothing else is in this file, so that tests need no main of ours.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "parent.h"
#include "role.h"

#define DEFAULT_CONF "/etc/spoold/spoold.conf"

struct options {
    const char *conf;
    const char *role;
    bool check;
    bool debug;
};

static void
usage(FILE *to)
{
    fputs("usage: spoold [-c FILE] [-d] [-n] [-V]\n"
          "  -c FILE  configuration (" DEFAULT_CONF ")\n"
          "  -d       debug log\n"
          "  -n       check the configuration and exit\n"
          "  -V       print the version and exit\n"
          "It runs in the foreground. SIGTERM stops in order, SIGHUP reads "
          "the configuration again.\n",
          to);
}

/* -1: run; otherwise the exit status. */
static int
parse_options(int argc, char **argv, struct options *options)
{
    int c;

    while ((c = getopt(argc, argv, "c:dhnVx:")) != -1) {
        switch (c) {
        case 'c':
            options->conf = optarg;
            break;
        case 'd':
            options->debug = true;
            break;
        case 'n':
            options->check = true;
            break;
        case 'x': /* the parent's, not the operator's: not in the usage */
            options->role = optarg;
            break;
        case 'V':
            puts("spoold " SPOOLD_VERSION);
            return 0;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "spoold: \"%s\" is not an option\n", argv[optind]);
        usage(stderr);
        return 2;
    }
    return -1;
}

static int
no_configuration(const char *path)
{
    fprintf(stderr,
            "spoold: there is no configuration at %s.\n"
            "Write one (man spoold.conf has the keys); the smallest is:\n\n"
            "    hostname = \"mx2.example.com\"\n"
            "    spool    = \"/var/lib/spoold\"\n"
            "    control  = \"/run/spoold/control\"\n"
            "    listen smtp { address = \"[::]:25\" }\n"
            "    target office { hosts = { \"mail.example.com\" } }\n"
            "    domain \"example.com\" { target = \"office\" }\n\n"
            "To try it out first, run \"make run\" or \"make demo\" in the "
            "source tree.\n",
            path);
    return 1;
}

int
main(int argc, char **argv)
{
    struct options options = {.conf = DEFAULT_CONF};
    struct conf *conf;
    struct why why;
    int status = parse_options(argc, argv, &options);

    if (status >= 0)
        return status;
    if (options.role != NULL)
        return role_run(options.role, options.debug);
    if (access(options.conf, F_OK) != 0)
        return no_configuration(options.conf);
    conf = conf_load(options.conf, &why);
    if (conf == NULL || (options.check && conf_check(conf, &why) != 0)) {
        fprintf(stderr, "%s\n", why.text);
        conf_free(&conf);
        return 1;
    }
    if (!options.check)
        return parent_run(conf, options.conf, options.debug);
    conf_free(&conf);
    return 0;
}
