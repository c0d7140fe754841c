/* SPDX-License-Identifier: ISC */
/*
 * What a role that writes content needs: the process's one data key under way
 * and the dictionary in use, kept up by PAIRS and DICTIONARY. The listener,
 * replay (notices) and control (imports) share this.
 */
#ifndef SPOOLD_SEALING_H
#define SPOOLD_SEALING_H

#include "body.h"
#include "message.h"
#include "seal.h"

struct peer_message;
void sealing_on_pairs(struct peer_message *message);
void sealing_on_dictionary(struct peer_message *message);

/* A writer for the content of message id, sealed as the configuration says.
 * *key is what sealing_describe wants later; it holds no secret. */
struct body_writer *sealing_writer(int level, size_t inline_max, uint64_t id,
                                   uint64_t now_ms, struct seal_key *key);
/* After body_finish: sets the fields of *message that say how its content can
 * be read (borrowing key->salt), and returns proto_submit.data_key. */
struct view sealing_describe(struct message *message,
                             const struct body_writer *writer,
                             const struct seal_key *key);
/* The answer to the SUBMIT that went with it. One that was not done makes the
 * next message take a new data key: the old one may not be welcome. */
void sealing_answered(const struct seal_key *key, bool done);

#endif
