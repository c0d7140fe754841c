/* SPDX-License-Identifier: ISC */
/*
 * Slowing guesses, and remembering who was right: bounded tables, no clock
 * and no sockets of their own, so that they are tested by themselves.
 *
 * Each wrong guess makes the next one from the same client, and the next one
 * at the same name, wait longer; quiet halves it. A name's wait is short, so
 * that nobody can lock a user out, and who was right lately does not wait.
 * IPv6 clients count by their /64.
 */
#ifndef SPOOLD_AUTH_GUESS_H
#define SPOOLD_AUTH_GUESS_H

#include <stdbool.h>
#include <stdint.h>

#include "view.h"

#define AUTH_CLIENT_WAIT_MAX_MS 30000
#define AUTH_NAME_WAIT_MAX_MS   5000
/* Quiet for this long halves a wait. */
#define AUTH_QUIET_MS 60000

struct auth_guess;

struct auth_guess *auth_guess_new(void);
void auth_guess_free(struct auth_guess **guess);
/* What clients count by: the same for an address, or a /64 of IPv6. */
uint64_t auth_guess_client(struct view client);
/* How long this attempt has to wait before it is looked at. */
uint64_t auth_guess_wait_ms(const struct auth_guess *guess, struct view client,
                            struct view name, int64_t now_ms);
void auth_guess_wrong(struct auth_guess *guess, struct view client,
                      struct view name, int64_t now_ms);

/* Who was right, and by what. */
enum auth_right {
    AUTH_RIGHT_NONE,
    AUTH_RIGHT_HASH,     /* one of the operator's */
    AUTH_RIGHT_UPSTREAM, /* the primary took it, now or when it was learned */
    AUTH_RIGHT_CODE,     /* an access code, used up by that */
};
#define AUTH_REMEMBER_MS      600000
#define AUTH_REMEMBER_CODE_MS 86400000
/* By the token of name and password (password_token), as long as the account
 * has this number and version. */
void auth_guess_right(struct auth_guess *guess, const char *token,
                      uint64_t user, uint64_t version, enum auth_right by,
                      int64_t now_ms);
enum auth_right auth_guess_is_right(const struct auth_guess *guess,
                                    const char *token, uint64_t user,
                                    uint64_t version, int64_t now_ms);

#endif
