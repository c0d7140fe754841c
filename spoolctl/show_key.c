/* SPDX-License-Identifier: ISC */
/*
 * key list and key rotate, for people; key export and key forget, which work
 * on the key file itself: they must work when nothing else does.
 */
#include "spoolctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "key_file.h"
#include "mem.h"
#include "passphrase.h"

#define USUAL_CONF "/etc/spoold/spoold.conf"

/* --- key list, key rotate ---------------------------------------------------
 */

static void
list_row(const json_t *row)
{
    char when[MEMBER_TEXT_MAX], messages[MEMBER_TEXT_MAX];

    printf("%-16s  %-7s  made %s  %s under %llu data keys\n",
           member_text(row, "pair"), member_text(row, "state"),
           member_when(member_time(row, "made"), when),
           member_count(member_num(row, "messages"), "message", messages),
           (unsigned long long)member_num(row, "data_keys"));
}

const struct show show_key_list = {.row = list_row};

static void
rotate_row(const json_t *row)
{
    printf("The current key pair is %s now. What is held is sealed to it in "
           "the background;\nthe former pair goes when nothing needs it: "
           "\"spoolctl key list\".\nKeep a copy of the key file elsewhere: "
           "\"spoolctl key export\".\n",
           member_text(row, "pair"));
}

const struct show show_key_rotate = {.row = rotate_row};

/* --- the key file
 * ------------------------------------------------------------- */

static char *
key_path(const struct request *request)
{
    struct why why;
    struct conf *conf = conf_load(
        request->conf_path != NULL ? request->conf_path : USUAL_CONF, &why);
    char *path;

    if (conf == NULL) {
        complain("%s", why.text);
        return NULL;
    }
    path = mem_copy(conf->key_file.data, conf->key_file.len);
    conf_free(&conf);
    return path;
}

/* Asks for the passphrase when the file needs one. */
static struct key_file *
load(const char *path)
{
    struct why why;
    struct key_file *file = key_file_load(path, NULL, &why);
    char *passphrase;
    char prompt[512];

    if (file != NULL || strstr(why.text, "there is no passphrase") == NULL) {
        if (file == NULL)
            complain("%s", why.text);
        return file;
    }
    snprintf(prompt, sizeof(prompt), "Passphrase of %s", path);
    passphrase = passphrase_ask(prompt);
    file = key_file_load(path, passphrase, &why);
    passphrase_free(&passphrase);
    if (file == NULL)
        complain("%s", why.text);
    return file;
}

/* A copy for a safe place is locked where that was asked for, and open
 * otherwise, however the file itself is. */
static int
set_lock(struct key_file *file, bool lock)
{
    passphrase_free(&file->passphrase);
    file->locked = lock;
    if (!lock)
        return 0;
    file->passphrase = passphrase_ask("Passphrase for the copy");
    if (file->passphrase == NULL) {
        complain("--lock needs a passphrase, typed on the terminal");
        return -1;
    }
    return 0;
}

int
tool_key_export(const struct request *request)
{
    char *path = key_path(request);
    struct key_file *file = path != NULL ? load(path) : NULL;
    struct buf text = {0};
    int status = CTL_EXIT_REFUSED;

    if (file != NULL &&
        set_lock(file, request->options[CTL_OPTION_LOCK] != NULL) == 0) {
        key_file_print(file, &text);
        fwrite(text.data, 1, text.len, stdout);
        explicit_bzero(text.data, text.cap);
        status = CTL_EXIT_DONE;
    }
    buf_free(&text);
    key_file_free(&file);
    free(path);
    return status;
}

static int
forget(struct key_file *file, struct view argument, const char *path, bool text)
{
    char id[SEAL_PAIR_ID];
    struct view pair = {id, SEAL_PAIR_ID};
    struct why why;

    if (key_pair_parse(argument, id) != 0) {
        complain("%.*s is not a key pair: 16 hexadecimal digits, as "
                 "\"spoolctl key list\" shows them",
                 (int)argument.len, argument.data);
        return CTL_EXIT_USAGE;
    }
    if (key_file_has(file, pair)) {
        complain("the secret of that pair is in %s: it is not lost", path);
        return CTL_EXIT_REFUSED;
    }
    if (!key_file_is_lost(file, pair)) {
        if (file->n_lost == KEY_PAIRS_MAX) {
            complain("%d pairs are lost already", KEY_PAIRS_MAX);
            return CTL_EXIT_REFUSED;
        }
        memcpy(file->lost[file->n_lost++], id, SEAL_PAIR_ID);
    }
    if (key_file_save(file, path, &why) != 0) {
        complain("%s", why.text);
        return CTL_EXIT_REFUSED;
    }
    if (text)
        printf("spoold starts without that pair from now on; what is sealed to "
               "it stays unreadable.\n");
    return CTL_EXIT_DONE;
}

int
tool_key_forget(const struct request *request)
{
    char *path = key_path(request);
    struct key_file *file = path != NULL ? load(path) : NULL;
    int status = CTL_EXIT_REFUSED;

    if (file != NULL)
        status = forget(file, request->words[request->first], path,
                        request->output == OUTPUT_TEXT);
    key_file_free(&file);
    free(path);
    return status;
}
