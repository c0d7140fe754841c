/* SPDX-License-Identifier: ISC */
/*
 * Two tables of scores and one of tokens, each of a fixed size: a key has a
 * few slots it may stand in, found by a keyed hash that nobody outside knows,
 * and takes the place of the stalest.
 */
#include "auth_guess.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "bytes.h"
#include "mem.h"
#include "password.h"

#define SETS         1024
#define WAYS         8
#define BASE_WAIT_MS 1000

struct score {
    uint64_t key;     /* 0: free */
    uint64_t wait_ms; /* after the last wrong guess */
    int64_t when_ms;  /* of it */
};

struct right {
    char token[PASSWORD_TOKEN];
    uint64_t user; /* 0: free */
    uint64_t version;
    int64_t until_ms;
    enum auth_right by;
};

struct auth_guess {
    struct score clients[SETS][WAYS];
    struct score names[SETS][WAYS];
    struct right rights[SETS][WAYS];
};

struct auth_guess *
auth_guess_new(void)
{
    return mem_alloc(sizeof(struct auth_guess));
}

void
auth_guess_free(struct auth_guess **guess)
{
    free(*guess);
    *guess = NULL;
}

/* --- waits ---------------------------------------------------------------- */

static uint64_t
key_of(struct view what, struct view text)
{
    char token[PASSWORD_TOKEN];
    uint64_t key;

    password_token(what, text, token);
    key = bytes_get64(token);
    return key != 0 ? key : 1;
}

uint64_t
auth_guess_client(struct view client)
{
    char text[INET6_ADDRSTRLEN] = {0};
    struct in6_addr address;

    if (client.len < sizeof(text) && client.len > 0)
        memcpy(text, client.data, client.len);
    if (inet_pton(AF_INET6, text, &address) == 1)
        client = (struct view){(const char *)&address, 8};
    return key_of(VIEW("client"), client);
}

static struct score *
score_of(struct score table[SETS][WAYS], uint64_t key)
{
    struct score *set = table[key % SETS];

    for (size_t i = 0; i < WAYS; i++)
        if (set[i].key == key)
            return &set[i];
    return NULL;
}

/* What is left of the wait after the quiet since. */
static uint64_t
wait_now(const struct score *score, int64_t now_ms)
{
    int64_t quiet = score != NULL ? now_ms - score->when_ms : 0;
    uint64_t halves = quiet > 0 ? (uint64_t)quiet / AUTH_QUIET_MS : 0;

    return score != NULL && halves < 60 ? score->wait_ms >> halves : 0;
}

static struct score *
score_for_change(struct score table[SETS][WAYS], uint64_t key)
{
    struct score *set = table[key % SETS], *stalest = &set[0];
    struct score *known = score_of(table, key);

    if (known != NULL)
        return known;
    for (size_t i = 1; i < WAYS; i++)
        if (set[i].key == 0 ||
            (stalest->key != 0 && set[i].when_ms < stalest->when_ms))
            stalest = &set[i];
    *stalest = (struct score){.key = key};
    return stalest;
}

static void
count_wrong(struct score table[SETS][WAYS], uint64_t key, uint64_t max_ms,
            int64_t now_ms)
{
    struct score *score = score_for_change(table, key);
    uint64_t wait_ms = wait_now(score, now_ms);

    wait_ms = wait_ms < BASE_WAIT_MS ? BASE_WAIT_MS : wait_ms * 2;
    score->wait_ms = wait_ms < max_ms ? wait_ms : max_ms;
    score->when_ms = now_ms;
}

uint64_t
auth_guess_wait_ms(const struct auth_guess *guess, struct view client,
                   struct view name, int64_t now_ms)
{
    struct auth_guess *g = (struct auth_guess *)(uintptr_t)guess;
    uint64_t by_client =
        wait_now(score_of(g->clients, auth_guess_client(client)), now_ms);
    uint64_t by_name =
        wait_now(score_of(g->names, key_of(VIEW("name"), name)), now_ms);

    return by_client > by_name ? by_client : by_name;
}

void
auth_guess_wrong(struct auth_guess *guess, struct view client, struct view name,
                 int64_t now_ms)
{
    count_wrong(guess->clients, auth_guess_client(client),
                AUTH_CLIENT_WAIT_MAX_MS, now_ms);
    count_wrong(guess->names, key_of(VIEW("name"), name), AUTH_NAME_WAIT_MAX_MS,
                now_ms);
}

/* --- who was right -------------------------------------------------------- */

void
auth_guess_right(struct auth_guess *guess, const char *token, uint64_t user,
                 uint64_t version, enum auth_right by, int64_t now_ms)
{
    struct right *set = guess->rights[bytes_get64(token) % SETS];
    struct right *stalest = &set[0];

    for (size_t i = 0; i < WAYS; i++) {
        if (memcmp(set[i].token, token, PASSWORD_TOKEN) == 0) {
            stalest = &set[i];
            break;
        }
        if (set[i].until_ms < stalest->until_ms)
            stalest = &set[i];
    }
    memcpy(stalest->token, token, PASSWORD_TOKEN);
    stalest->user = user;
    stalest->version = version;
    stalest->by = by;
    stalest->until_ms = now_ms + (by == AUTH_RIGHT_CODE ? AUTH_REMEMBER_CODE_MS
                                                        : AUTH_REMEMBER_MS);
}

enum auth_right
auth_guess_is_right(const struct auth_guess *guess, const char *token,
                    uint64_t user, uint64_t version, int64_t now_ms)
{
    const struct right *set = guess->rights[bytes_get64(token) % SETS];

    for (size_t i = 0; i < WAYS; i++)
        if (set[i].user == user && user != 0 && set[i].version == version &&
            set[i].until_ms > now_ms &&
            memcmp(set[i].token, token, PASSWORD_TOKEN) == 0)
            return set[i].by;
    return AUTH_RIGHT_NONE;
}
