/* SPDX-License-Identifier: ISC */
/*
 * ETRN (RFC 1985): a server that is back says so, and the target of its domain
 * is tried now. Whoever may send mail may say it, since it costs one
 * connection to a server that is ours at the most; but not so often that it
 * becomes a way to knock at it through us.
 *
 * Before: listener_command.c   After: listener_session.c (ETRN), store.c,
 * replay.c (WAKE)
 */
#include "listener.h"

#define NAME_MAX_SAID 80

static struct view
cut(struct view name)
{
    if (name.len > NAME_MAX_SAID)
        name.len = NAME_MAX_SAID;
    return name;
}

/* 0, or -1: there are more than have room. */
static int
add_target(struct listener_reply *reply, struct view target)
{
    for (size_t i = 0; i < reply->n_wake; i++)
        if (view_equal(reply->wake[i], target))
            return 0;
    if (reply->n_wake == LISTENER_WAKE_MAX)
        return -1;
    reply->wake[reply->n_wake++] = target;
    return 0;
}

static bool
is_under(struct view name, struct view domain)
{
    if (name.len <= domain.len)
        return view_equal_nocase(name, domain);
    name = view_skip(name, name.len - domain.len - 1);
    return name.data[0] == '.' && view_equal_nocase(view_skip(name, 1), domain);
}

/* "@domain": it and all below it. */
static int
add_below(const struct conf *conf, struct view domain,
          struct listener_reply *reply)
{
    const struct conf_domain *domains = conf->domains.items;

    for (size_t i = 0; i < conf->domains.count; i++)
        if (is_under(domains[i].name, domain) &&
            add_target(reply, domains[i].target) != 0)
            return -1;
    return 0;
}

static int
find_targets(const struct conf *conf, struct view node,
             struct listener_reply *reply)
{
    const struct conf_domain *domain;

    if (node.data[0] == '@')
        return add_below(conf, view_skip(node, 1), reply);
    if (node.data[0] == '#')
        return conf_target_by_name(conf, view_skip(node, 1)) != NULL
                   ? add_target(reply, view_skip(node, 1))
                   : 0;
    domain = conf_domain_by_name(conf, node);
    return domain != NULL ? add_target(reply, domain->target) : 0;
}

static bool
is_node(struct view node)
{
    bool named = node.data[0] == '@' || node.data[0] == '#';
    struct view name = named ? view_skip(node, 1) : node;

    /* The name of a target is written like a domain's. */
    return name.len > 0 && addr_is_domain(name);
}

void
listener_etrn(struct listener_policy *policy, struct view node,
              struct listener_reply *reply)
{
    struct why *why = &reply->why;
    struct view said = cut(node);
    bool too_many;

    reply->n_wake = 0;
    if (policy->conf->etrn == 0) {
        why_set(why, 502, "5.5.1", "ETRN is not offered here");
        return;
    }
    if (!is_node(node)) {
        why_set(why, 501, "5.5.4", "ETRN needs one domain");
        return;
    }
    too_many = find_targets(policy->conf, node, reply) != 0;
    if (reply->n_wake == 0)
        why_set(why, 459, "4.7.1", "Node %.*s not allowed: no mail for it here",
                (int)said.len, said.data);
    else if (too_many)
        why_set(why, 459, "4.7.1",
                "Node %.*s not allowed: too many at once, name one domain",
                (int)said.len, said.data);
    else if (policy->etrn_left == 0 || policy->room == ROOM_UNKNOWN)
        why_set(why, 458, "4.3.2", "Unable to queue messages for node %.*s: %s",
                (int)said.len, said.data,
                policy->room != ROOM_UNKNOWN
                    ? "asked too often, try again in a minute"
                    : "try again later");
    else
        why_set(why, 250, "2.0.0", "OK, queuing for node %.*s started",
                (int)said.len, said.data);
    if (why->code != 250)
        reply->n_wake = 0;
    else
        policy->etrn_left--;
}
