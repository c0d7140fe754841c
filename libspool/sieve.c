/* SPDX-License-Identifier: ISC */
/*
 * Terms to bits. All of this is on disk (spool.5): a change makes what is
 * stored unfindable until the signatures are made anew.
 *
 * How many bits a term sets says how well it finds: about two bits of three
 * are clear in an ordinary message's signature, so each bit of the mask
 * leaves a third to a half of the messages that are not meant.
 */
#include "sieve.h"

#include <arpa/inet.h>

/* seed tells terms of different kinds apart. Local part and domain of an
 * address share theirs, since a query may mean either. */
static const struct {
    uint8_t seed;
    uint8_t bits;
} terms[] = {
    [SIEVE_FROM] = {1, 2},        [SIEVE_FROM_LOCAL] = {2, 7},
    [SIEVE_FROM_DOMAIN] = {2, 7}, [SIEVE_TO] = {3, 2},
    [SIEVE_TO_LOCAL] = {4, 7},    [SIEVE_TO_DOMAIN] = {4, 7},
    [SIEVE_CLIENT] = {5, 4},      [SIEVE_CLIENT_NET] = {6, 7},
    [SIEVE_HELO] = {7, 6},        [SIEVE_MESSAGE_ID] = {8, 8},
    [SIEVE_SUBJECT] = {9, 1},     [SIEVE_TARGET] = {10, 2},
    [SIEVE_IMPORTED] = {11, 8},
};

/* FNV-1a over the seed and the text in lower case, its bits well mixed. */
static uint64_t
term_hash(uint8_t seed, struct view text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    hash = (hash ^ seed) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)text.data[i];

        if (c >= 'A' && c <= 'Z')
            c = (uint8_t)(c | 0x20);
        hash = (hash ^ c) * UINT64_C(0x100000001b3);
    }
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

void
sieve_add(struct sieve *sieve, enum sieve_term term, struct view text)
{
    uint64_t hash, at, step;

    if (text.len == 0)
        return;
    hash = term_hash(terms[term].seed, text);
    at = hash & UINT32_MAX;
    step = hash >> 32 | 1; /* odd: the first 64 places differ */
    for (unsigned i = 0; i < terms[term].bits; i++, at += step)
        sieve->bits[at % SIEVE_BITS / 64] |= UINT64_C(1) << at % 64;
}

void
sieve_add_runs(struct sieve *sieve, enum sieve_term term, struct view text)
{
    for (size_t i = 0; i + 3 <= text.len; i++)
        sieve_add(sieve, term, (struct view){text.data + i, 3});
}

/* --- addresses of mail ---------------------------------------------------- */

struct view
sieve_local(struct view address)
{
    const char *at =
        address.len > 0 ? memchr(address.data, '@', address.len) : NULL;

    if (at != NULL)
        address.len = (size_t)(at - address.data);
    return address;
}

struct view
sieve_domain(struct view address)
{
    const char *at =
        address.len > 0 ? memrchr(address.data, '@', address.len) : NULL;

    if (at == NULL)
        return (struct view){NULL, 0};
    return view_skip(address, (size_t)(at - address.data) + 1);
}

static void
add_address(struct sieve *sieve, enum sieve_term whole, enum sieve_term local,
            enum sieve_term domain, struct view address)
{
    sieve_add(sieve, whole, address);
    sieve_add(sieve, local, sieve_local(address));
    sieve_add(sieve, domain, sieve_domain(address));
}

/* --- addresses of clients ------------------------------------------------- */

struct view
sieve_v4_net(struct view text)
{
    size_t dots = 0, len = 0;

    while (len < text.len && (text.data[len] != '.' || ++dots < 3))
        len++;
    return dots == 3 ? (struct view){text.data, len} : (struct view){NULL, 0};
}

void
sieve_add_network(struct sieve *sieve, const struct network *network)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char net[16] = {0};
    int family = network->is_v4 ? AF_INET : AF_INET6;
    unsigned narrow = network->is_v4 ? 24 : 48;

    inet_ntop(family, network->address, text, sizeof(text));
    if (network->bits == (network->is_v4 ? 32 : 128))
        sieve_add(sieve, SIEVE_CLIENT, view_of(text));
    if (network->bits < narrow)
        return;
    if (network->is_v4) {
        sieve_add(sieve, SIEVE_CLIENT_NET, sieve_v4_net(view_of(text)));
        return;
    }
    memcpy(net, network->address, narrow / 8);
    inet_ntop(AF_INET6, net, text, sizeof(text));
    sieve_add(sieve, SIEVE_CLIENT_NET, view_of(text));
}

static void
add_client(struct sieve *sieve, struct view client)
{
    struct network network;

    /* What a client is called when it has no address is text like any. */
    if (client.len > 0 && memchr(client.data, '/', client.len) == NULL &&
        network_parse(client, &network) == 0) {
        sieve_add_network(sieve, &network);
    } else {
        sieve_add(sieve, SIEVE_CLIENT, client);
        sieve_add(sieve, SIEVE_CLIENT_NET, sieve_v4_net(client));
    }
}

/* --- messages ------------------------------------------------------------- */

struct view
sieve_message_id(struct view value)
{
    if (value.len >= 2 && value.data[0] == '<' &&
        value.data[value.len - 1] == '>')
        return (struct view){value.data + 1, value.len - 2};
    return value;
}

void
sieve_of_message(struct sieve *sieve, const struct message *message,
                 const struct delivery *deliveries, size_t n)
{
    *sieve = (struct sieve){0};
    add_address(sieve, SIEVE_FROM, SIEVE_FROM_LOCAL, SIEVE_FROM_DOMAIN,
                message->sender);
    for (size_t i = 0; i < n; i++) {
        add_address(sieve, SIEVE_TO, SIEVE_TO_LOCAL, SIEVE_TO_DOMAIN,
                    deliveries[i].recipient);
        sieve_add(sieve, SIEVE_TARGET, deliveries[i].target);
    }
    add_client(sieve, message->client);
    sieve_add(sieve, SIEVE_HELO, message->helo);
    sieve_add(sieve, SIEVE_MESSAGE_ID, sieve_message_id(message->message_id));
    sieve_add_runs(sieve, SIEVE_SUBJECT, message->subject);
    if (message->origin == ORIGIN_IMPORT)
        sieve_add(sieve, SIEVE_IMPORTED, VIEW("import"));
}
