/* SPDX-License-Identifier: ISC */
/*
 * The spool's secrets: read once, here, and handed on to those who need them
 * (PAIRS). Nobody else opens the key file. Where it is looked for:
 *
 *     store { key-file }               spool.key beside the configuration
 *     $CREDENTIALS_DIRECTORY/spool.key systemd's LoadCredential; read-only
 *     SPOOL/spool.key                  where the first cannot be written; else
 *                                      a link to it, for when the spool is
 *                                      used with another configuration
 *
 * and made in the first of these that can be written, when there is none. A
 * locked one is opened with $CREDENTIALS_DIRECTORY/spool.passphrase, or with
 * what is typed on the terminal.
 *
 * Whether the store needs a pair that is not here is seen by the store role,
 * which reads the table key when it starts.
 */
#include "parent.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "event.h"
#include "file.h"
#include "key_file.h"
#include "log.h"
#include "mem.h"
#include "passphrase.h"
#include "peer.h"

#define PASSPHRASE_MAX 1024

struct parent_keys {
    struct key_file *file;
    char *passphrase; /* NULL: it is not locked */
    char path[PATH_MAX];
    bool fixed; /* a credential: it cannot be written */
    bool asks;  /* at the start only: later, roles wait for the parent */
};

/* --- the passphrase ------------------------------------------------------- */

/* The path of a systemd credential; false: there are none. */
static bool
credential(const char *name, char path[PATH_MAX])
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");

    return directory != NULL &&
           snprintf(path, PATH_MAX, "%s/%s", directory, name) < PATH_MAX &&
           access(path, F_OK) == 0;
}

static char *
find_passphrase(const char *key_path, bool asks)
{
    char path[PATH_MAX], prompt[PATH_MAX + 32];
    struct buf bytes = {0};
    char *passphrase = NULL;

    if (!credential("spool.passphrase", path)) {
        snprintf(prompt, sizeof(prompt), "Passphrase of %s", key_path);
        return asks ? passphrase_ask(prompt) : NULL;
    }
    if (file_read(path, PASSPHRASE_MAX, &bytes, NULL) == 0) {
        while (bytes.len > 0 && (bytes.data[bytes.len - 1] == '\n' ||
                                 bytes.data[bytes.len - 1] == '\r'))
            bytes.len--;
        passphrase = mem_copy(bytes.data, bytes.len);
    }
    if (bytes.cap > 0)
        explicit_bzero(bytes.data, bytes.cap);
    buf_free(&bytes);
    return passphrase;
}

/* --- reading and making --------------------------------------------------- */

/* Others who could read it would have no need of us. */
static void
check_mode(const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        log_warn("%s: not only its owner can get at it (mode %03o): \"chmod "
                 "600\" it",
                 path, (unsigned)st.st_mode & 0777);
}

static int
load_from(struct parent_keys *keys, const char *path, struct why *why)
{
    struct buf text = {0};
    struct why inner;
    bool locked;

    if (file_read(path, KEY_FILE_MAX, &text, &inner) != 0) {
        buf_free(&text);
        return why_text(why, "%s: %s", path, inner.text);
    }
    locked = key_file_is_locked(buf_view(&text));
    if (text.cap > 0)
        explicit_bzero(text.data, text.cap);
    buf_free(&text);
    if (locked && keys->passphrase == NULL &&
        (keys->passphrase = find_passphrase(path, keys->asks)) == NULL)
        return why_text(why,
                        "%s is locked: start spoold on a terminal, or give it "
                        "the credential spool.passphrase (systemd.exec(5))",
                        path);
    keys->file = key_file_load(path, locked ? keys->passphrase : NULL, why);
    if (keys->file == NULL)
        return -1;
    snprintf(keys->path, sizeof(keys->path), "%s", path);
    return 0;
}

static int
make_at(struct parent_keys *keys, const char *path, struct why *why)
{
    struct key_file *file = key_file_new();

    if (key_file_save(file, path, why) != 0) {
        key_file_free(&file);
        return -1;
    }
    keys->file = file;
    snprintf(keys->path, sizeof(keys->path), "%s", path);
    return 0;
}

static void
log_key(enum event_kind kind, const char *pair, const char *path)
{
    struct event event;

    event_begin(&event, kind);
    event_text(&event, "pair", pair);
    event_text(&event, "file", path);
    event_end(&event);
}

/* What lies in the spool under that name: the spool is other users' to write,
 * and a pair that one of them made would be no secret to him. */
static int
check_owner(const char *inside, struct why *why)
{
    struct stat st;

    if (lstat(inside, &st) != 0)
        return errno == ENOENT
                   ? 0
                   : why_text(why, "%s: %s", inside, strerror(errno));
    if (st.st_uid == geteuid())
        return 0;
    return why_text(why,
                    "%s was not made by spoold: user %u owns it. Remove it, or "
                    "make it yours if you know it to be right",
                    inside, (unsigned)st.st_uid);
}

static int
make_somewhere(struct parent_keys *keys, const char *first, const char *inside,
               struct why *why)
{
    char id[KEY_PAIR_TEXT_MAX];
    struct why inner;

    if (make_at(keys, first, &inner) != 0) {
        if (make_at(keys, inside, why) != 0)
            return -1;
        log_warn("%s: the key file is in the spool itself: whoever takes the "
                 "spool away has both. Move %s to a safe place and name it in "
                 "store { key-file }",
                 inner.text, inside);
    } else if (symlink(first, inside) != 0 && errno != EEXIST) {
        log_warn("%s: %s", inside, strerror(errno));
    }
    log_key(EVENT_KEY_MADE, key_pair_print(keys->file->pairs[0].public.id, id),
            keys->path);
    return 0;
}

/* What is stored may need any pair that was in force. */
static int
check_kept(const struct parent_keys *before, const struct parent_keys *now,
           struct why *why)
{
    char text[KEY_PAIR_TEXT_MAX];

    for (size_t i = 0; before != NULL && i < before->file->n_pairs; i++) {
        const char *id = before->file->pairs[i].public.id;
        struct view pair = {id, SEAL_PAIR_ID};

        if (!key_file_has(now->file, pair) &&
            !key_file_is_lost(now->file, pair))
            return why_text(why,
                            "%s: key pair %s is not in it, and what is stored "
                            "may be sealed to that",
                            now->path, key_pair_print(id, text));
    }
    return 0;
}

int
parent_keys_load(struct parent_keys **keys_ptr, const struct conf *conf,
                 struct why *why)
{
    struct parent_keys *keys = mem_alloc(sizeof(*keys));
    char first[PATH_MAX], given[PATH_MAX], inside[PATH_MAX];
    int rc;

    keys->asks = *keys_ptr == NULL;
    if (*keys_ptr != NULL && (*keys_ptr)->passphrase != NULL)
        keys->passphrase = mem_copy_text((*keys_ptr)->passphrase);
    snprintf(first, sizeof(first), "%.*s", (int)conf->key_file.len,
             conf->key_file.data);
    snprintf(inside, sizeof(inside), "%.*s/spool.key", (int)conf->spool.len,
             conf->spool.data);
    if (access(first, F_OK) == 0) {
        rc = load_from(keys, first, why);
    } else if (credential("spool.key", given)) {
        rc = load_from(keys, given, why);
        keys->fixed = true;
    } else if ((rc = check_owner(inside, why)) != 0) {
        /* it is not to be used, nor to be written through */
    } else if (access(inside, F_OK) == 0) {
        rc = load_from(keys, inside, why);
    } else if (*keys_ptr != NULL) { /* a reload makes no new secrets */
        rc = why_text(why, "%s: %s", first, strerror(ENOENT));
    } else {
        rc = make_somewhere(keys, first, inside, why);
    }
    if (rc == 0 && !keys->fixed)
        check_mode(keys->path);
    if (rc != 0 || check_kept(*keys_ptr, keys, why) != 0) {
        parent_keys_free(&keys);
        return -1;
    }
    parent_keys_free(keys_ptr);
    *keys_ptr = keys;
    return 0;
}

void
parent_keys_free(struct parent_keys **keys)
{
    if (*keys == NULL)
        return;
    key_file_free(&(*keys)->file);
    passphrase_free(&(*keys)->passphrase);
    free(*keys);
    *keys = NULL;
}

/* --- handing on ----------------------------------------------------------- */

/* Who reads content has the secrets; who writes has what seals it. */
void
parent_keys_give(const struct parent_keys *keys, enum role to,
                 const struct conf *conf)
{
    struct proto_pair rows[2 * KEY_PAIRS_MAX];
    struct proto_pairs pairs = {
        .pairs = {rows, 0}, .from = view_of(keys->path), .seal = conf->seal};
    const struct key_file *file = keys->file;

    if (!proto_allowed(PROTO_PAIRS, ROLE_PARENT, to))
        return;
    for (size_t i = 0; i < file->n_pairs; i++) {
        const struct seal_pair *pair = &file->pairs[i];
        struct proto_pair *row = &rows[pairs.pairs.count++];

        *row = (struct proto_pair){.id = {pair->public.id, SEAL_PAIR_ID},
                                   .public = {pair->public.key, SEAL_PUBLIC},
                                   .made_ms = file->made_ms[i]};
        if (to == ROLE_REPLAY || to == ROLE_IMAP)
            row->secret = (struct view){pair->secret, SEAL_SECRET};
    }
    for (size_t i = 0; i < file->n_lost; i++)
        rows[pairs.pairs.count++] =
            (struct proto_pair){.id = {file->lost[i], SEAL_PAIR_ID}, .lost = 1};
    peer_send(to, PROTO_PAIRS, &pairs, -1);
}

/* --- changes -------------------------------------------------------------- */

/* The file as it is on disk now, to be changed and written: what is in force
 * is only replaced by what is safe there. */
static struct key_file *
open_for_change(const struct parent_keys *keys, struct why *why)
{
    if (keys->fixed) {
        why_text(why,
                 "%s is a credential that spoold cannot write: make a new key "
                 "file elsewhere and give it as the credential",
                 keys->path);
        return NULL;
    }
    return key_file_load(keys->path, keys->passphrase, why);
}

static int
put_in_force(struct parent_keys *keys, struct key_file *fresh, struct why *why)
{
    if (key_file_save(fresh, keys->path, why) != 0) {
        key_file_free(&fresh);
        return -1;
    }
    key_file_free(&keys->file);
    keys->file = fresh;
    return 0;
}

int
parent_keys_rotate(struct parent_keys *keys, char pair[KEY_PAIR_TEXT_MAX],
                   struct why *why)
{
    struct key_file *fresh = open_for_change(keys, why);

    if (fresh == NULL)
        return -1;
    if (key_file_rotate(fresh, (uint64_t)clock_wall_ms(), why) != 0) {
        key_file_free(&fresh);
        return -1;
    }
    if (put_in_force(keys, fresh, why) != 0)
        return -1;
    key_pair_print(keys->file->pairs[0].public.id, pair);
    log_key(EVENT_KEY_MADE, pair, keys->path);
    return 0;
}

int
parent_keys_drop(struct parent_keys *keys, struct view pair_id)
{
    struct key_file *fresh;
    char pair[KEY_PAIR_TEXT_MAX];
    struct why why;

    if (pair_id.len != SEAL_PAIR_ID || !key_file_has(keys->file, pair_id))
        return -1;
    fresh = open_for_change(keys, &why);
    if (fresh != NULL && !key_file_drop(fresh, pair_id)) {
        key_file_free(&fresh);
        return -1;
    }
    if (fresh == NULL || put_in_force(keys, fresh, &why) != 0) {
        log_warn("a former key pair stays in the key file: %s", why.text);
        return -1;
    }
    log_key(EVENT_KEY_DROPPED, key_pair_print(pair_id.data, pair), keys->path);
    return 0;
}

void
parent_keys_sign(const struct parent_keys *keys, struct view bytes,
                 char public[KEY_SIGN_PUBLIC], char signature[KEY_SIGNATURE])
{
    key_file_sign(keys->file, bytes, public, signature);
}
