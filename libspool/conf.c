/* SPDX-License-Identifier: ISC */
/*
 * From the texts of a file (conf_tree.h) to struct conf: each value by the
 * kind of its key (conf_value.h), defaults by the same way, then the rules
 * that span keys (conf_rules.h), then once through the codec, which leaves
 * all texts in one block and has every load try what CONF messages rely on.
 */
#include "conf.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "addr.h"
#include "conf_rules.h"
#include "conf_tree.h"
#include "conf_value.h"
#include "log.h"
#include "mem.h"

/* Debian's ca-certificates. */
#define CA_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

struct load {
    const struct conf_tree *tree;
    struct conf conf;
    struct conf_kept kept; /* texts that are not in the tree */
};

/* --- all values of all sections ------------------------------------------ */

static int
load_one(struct load *load, const struct conf_key *key,
         const struct conf_value *given, void *at, struct why *why)
{
    struct view text = view_of(given->text);
    struct why bad = {0};
    int result = -1;

    if (text.len > 0)
        result = conf_value_parse(&load->kept, key, text, given->directory, at,
                                  &bad);
    else if (key->initial != NULL && *key->initial == '\0')
        result = 0; /* "" is as good as absent */
    else
        why_text(&bad, "an empty text");
    if (result != 0)
        why_text(why, "%s:%u: %s: %s", given->file, given->line, key->name,
                 bad.text);
    return result;
}

static int
load_default(struct load *load, const struct conf_key *key, size_t i, void *at,
             struct why *why)
{
    const struct conf_section_row *row = &conf_sections[key->section];

    if (key->initial == NULL)
        return conf_tree_why(load->tree, key->section, i, NULL, why,
                             "%s \"%s\": %s is missing: %s", row->name,
                             conf_tree_title(load->tree, key->section, i),
                             key->name, key->sentence);
    if (*key->initial != '\0' &&
        conf_value_parse(&load->kept, key, view_of(key->initial), "/", at,
                         why) != 0)
        bug("default of %s", key->name);
    return 0;
}

static int
load_key(struct load *load, const struct conf_key *key, size_t i, void *at,
         struct why *why)
{
    size_t n = conf_tree_n_values(load->tree, key, i);
    struct record_list *list = at;

    if (n == 0)
        return load_default(load, key, i, at, why);
    if (!conf_kind_is_list(key->kind))
        return load_one(load, key, conf_tree_value(load->tree, key, i, 0), at,
                        why);
    list->items = mem_alloc(n * sizeof(struct conf_text));
    for (; list->count < n; list->count++) {
        struct conf_text *item = list->items;

        if (load_one(load, key,
                     conf_tree_value(load->tree, key, i, list->count),
                     &item[list->count].text, why) != 0)
            return -1;
    }
    return 0;
}

/* base is struct conf or an item of one of its lists. */
static int
load_section(struct load *load, enum conf_section section, size_t i, char *base,
             struct why *why)
{
    for (size_t k = 0; k < conf_n_keys; k++)
        if (conf_keys[k].section == section &&
            load_key(load, &conf_keys[k], i, base + conf_keys[k].offset, why) !=
                0)
            return -1;
    return 0;
}

static int
load_titled(struct load *load, enum conf_section section, struct why *why)
{
    const struct conf_section_row *row = &conf_sections[section];
    struct record_list *list =
        (struct record_list *)((char *)&load->conf + row->list);
    size_t n = conf_tree_count(load->tree, section);

    list->items = mem_alloc(n * row->size);
    for (; list->count < n; list->count++) {
        char *item = (char *)list->items + list->count * row->size;
        struct view *title = (struct view *)(item + row->title);

        *title = view_of(conf_tree_title(load->tree, section, list->count));
        if (section == CONF_DOMAIN)
            *title = conf_kept_lower(&load->kept, *title);
        if (load_section(load, section, list->count, item, why) != 0) {
            list->count++; /* this one too has lists to be freed */
            return -1;
        }
    }
    return 0;
}

static int
load_sections(struct load *load, struct why *why)
{
    for (unsigned s = CONF_ROOT; s < CONF_SECTION_COUNT; s++)
        if (conf_sections[s].titled
                ? load_titled(load, s, why) != 0
                : load_section(load, s, 0, (char *)&load->conf, why) != 0)
            return -1;
    return 0;
}

/* --- what a file may leave open ------------------------------------------ */

static void
load_hostname(struct load *load)
{
    char name[ADDR_DOMAIN_MAX + 1];
    struct view view;

    if (load->conf.hostname.len > 0 || gethostname(name, sizeof(name)) != 0)
        return;
    name[sizeof(name) - 1] = '\0';
    view = view_of(name);
    if (addr_is_domain(view) && strchr(name, '.') != NULL)
        load->conf.hostname = conf_kept_lower(&load->kept, view);
}

/* Beside the configuration: not in the spool, so that whoever takes the
 * spool away has not got the key with it. */
static void
load_key_file(struct load *load, const char *path)
{
    char absolute[PATH_MAX];
    struct buf name = {0};
    char *end;

    if (load->conf.key_file.len > 0)
        return;
    if (realpath(path, absolute) == NULL ||
        (end = strrchr(absolute, '/')) == NULL)
        return;
    *end = '\0';
    buf_addf(&name, "%s/spool.key", absolute);
    load->conf.key_file = buf_view(&name);
    conf_kept_add(&load->kept, name.data);
}

static void
load_return_targets(struct conf *conf)
{
    struct conf_domain *domains = conf->domains.items;

    for (size_t i = 0; i < conf->domains.count; i++)
        if (domains[i].return_target.len == 0)
            domains[i].return_target = domains[i].target;
}

/* The domain whose MX records a target follows: the one that names it. Where
 * there are several, the rules ask for mx-domain. */
static void
load_mx_domains(struct conf *conf)
{
    struct conf_target *targets = conf->targets.items;
    const struct conf_domain *domains = conf->domains.items;

    for (size_t t = 0; t < conf->targets.count; t++) {
        struct conf_target *target = &targets[t];
        const struct conf_domain *only = NULL;
        size_t n = 0;

        if (!target->mx || target->mx_domain.len > 0)
            continue;
        for (size_t d = 0; d < conf->domains.count; d++)
            if (view_equal(domains[d].target, target->name)) {
                only = &domains[d];
                n++;
            }
        if (n == 1)
            target->mx_domain = only->name;
    }
}

/* --- lists in order ------------------------------------------------------ */

static int
compare_views(struct view a, struct view b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.data, b.data, len) : 0;

    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

static int
compare_targets(const void *a, const void *b)
{
    const struct conf_target *left = a, *right = b;

    return compare_views(left->name, right->name);
}

static int
compare_domains(const void *a, const void *b)
{
    const struct conf_domain *left = a, *right = b;

    return compare_views(left->name, right->name);
}

static void
load_sort(struct conf *conf)
{
    qsort(conf->targets.items, conf->targets.count, sizeof(struct conf_target),
          compare_targets);
    qsort(conf->domains.items, conf->domains.count, sizeof(struct conf_domain),
          compare_domains);
}

const struct conf_target *
conf_target_by_name(const struct conf *conf, struct view name)
{
    const struct conf_target key = {.name = name};

    if (conf->targets.count == 0)
        return NULL;
    return bsearch(&key, conf->targets.items, conf->targets.count, sizeof(key),
                   compare_targets);
}

const struct conf_domain *
conf_domain_by_name(const struct conf *conf, struct view name)
{
    char lower[ADDR_DOMAIN_MAX];
    const struct conf_domain key = {.name = {lower, name.len}};

    if (name.len > sizeof(lower) || conf->domains.count == 0)
        return NULL;
    addr_lower(name, lower);
    return bsearch(&key, conf->domains.items, conf->domains.count, sizeof(key),
                   compare_domains);
}

const struct conf_domain *
conf_domain_for(const struct conf *conf, struct view recipient,
                struct view target)
{
    const struct conf_domain *domains = conf->domains.items;
    const char *at =
        recipient.len > 0 ? memrchr(recipient.data, '@', recipient.len) : NULL;
    const struct conf_domain *found = NULL;

    if (at != NULL)
        found = conf_domain_by_name(
            conf, view_skip(recipient, (size_t)(at - recipient.data) + 1));
    for (size_t i = 0; found == NULL && i < conf->domains.count; i++)
        if (view_equal(domains[i].target, target))
            found = &domains[i];
    return found;
}

struct view
conf_tls_ca(const struct conf_target *target)
{
    if (target->tls != CONF_TLS_VERIFY || target->tls_fingerprints.count > 0)
        return (struct view){NULL, 0};
    return target->tls_ca.len > 0 ? target->tls_ca : VIEW(CA_BUNDLE);
}

struct view
conf_upstream_ca(const struct conf *conf)
{
    if (conf->auth_upstream.len == 0)
        return (struct view){NULL, 0};
    return conf->auth_upstream_ca.len > 0 ? conf->auth_upstream_ca
                                          : VIEW(CA_BUNDLE);
}

/* --- whole --------------------------------------------------------------- */

void
conf_encode(const struct conf *conf, struct buf *out)
{
    record_encode(conf_record(), conf, out);
}

struct conf *
conf_decode(struct view bytes, struct why *why)
{
    struct conf *conf = mem_alloc(sizeof(*conf));
    char *block = mem_copy(bytes.data, bytes.len);

    if (record_decode(conf_record(), (struct view){block, bytes.len}, conf,
                      why) != 0) {
        free(block);
        free(conf);
        return NULL;
    }
    conf->memory_block = block;
    return conf;
}

void
conf_free(struct conf **conf)
{
    char *block;

    if (*conf == NULL)
        return;
    block = (*conf)->memory_block;
    record_clear(conf_record(), *conf);
    free(block);
    free(*conf);
    *conf = NULL;
}

static struct conf *
load_finish(struct load *load, const char *path, struct why *why)
{
    struct buf bytes = {0};
    struct conf *conf;

    load_hostname(load);
    load_key_file(load, path);
    load_return_targets(&load->conf);
    load_mx_domains(&load->conf);
    load_sort(&load->conf);
    if (conf_rules_check(load->tree, &load->conf, why) != 0)
        return NULL;
    conf_encode(&load->conf, &bytes);
    conf = conf_decode(buf_view(&bytes), why);
    buf_free(&bytes);
    return conf;
}

struct conf *
conf_load(const char *path, struct why *why)
{
    struct conf_tree *tree = conf_tree_load(path, why);
    struct load load = {.tree = tree};
    struct conf *conf = NULL;

    if (tree == NULL)
        return NULL;
    if (load_sections(&load, why) == 0)
        conf = load_finish(&load, path, why);
    record_clear(conf_record(), &load.conf);
    conf_kept_free(&load.kept);
    conf_tree_free(&tree);
    return conf;
}
