/* SPDX-License-Identifier: ISC */
/* One function a kind of key; conf_key.h says what each kind is. */
#include "conf_value.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "log.h"
#include "mem.h"
#include "num.h"

char *
conf_kept_add(struct conf_kept *kept, char *text)
{
    if ((kept->count & (kept->count - 1)) == 0) /* grows at powers of two */
        kept->texts =
            mem_grow(kept->texts, kept->count > 0 ? kept->count * 2 : 1,
                     sizeof(kept->texts[0]));
    kept->texts[kept->count++] = text;
    return text;
}

void
conf_kept_free(struct conf_kept *kept)
{
    for (size_t i = 0; i < kept->count; i++)
        free(kept->texts[i]);
    free(kept->texts);
    *kept = (struct conf_kept){0};
}

struct view
conf_kept_lower(struct conf_kept *kept, struct view text)
{
    char *lower = conf_kept_add(kept, mem_copy(text.data, text.len));

    addr_lower(text, lower);
    return (struct view){lower, text.len};
}

struct value {
    const struct conf_key *key;
    struct view text;
    const char *directory;
    struct conf_kept *kept;
};

/* Sets the member at "at". */
typedef int value_fn(const struct value *value, void *at, struct why *why);

static int
value_text(const struct value *value, void *at, struct why *why)
{
    (void)why;
    *(struct view *)at = value->text;
    return 0;
}

static int
value_name(const struct value *value, void *at, struct why *why)
{
    if (conf_name_check(value->text, why) != 0)
        return -1;
    *(struct view *)at = conf_kept_lower(value->kept, value->text);
    return 0;
}

static int
value_path(const struct value *value, void *at, struct why *why)
{
    struct buf path = {0};

    (void)why;
    if (value->text.data[0] == '/') {
        *(struct view *)at = value->text;
        return 0;
    }
    buf_addf(&path, "%s/%.*s", value->directory, (int)value->text.len,
             value->text.data);
    *(struct view *)at = buf_view(&path);
    conf_kept_add(value->kept, path.data);
    return 0;
}

/* The position of text in a list of words, from 1; 0: it is not there. */
static unsigned
word_find(const char *words, struct view text)
{
    unsigned n = 1;

    while (*words != '\0') {
        size_t len = strcspn(words, " ");

        if (view_equal(text, (struct view){words, len}))
            return n;
        words += len;
        words += strspn(words, " ");
        n++;
    }
    return 0;
}

static int
word_refuse(const struct value *value, struct why *why)
{
    char words[64];
    size_t n = 0;

    for (const char *p = value->key->low; *p != '\0' && n + 3 < sizeof(words);
         p++) {
        if (*p == ' ')
            words[n++] = ',';
        words[n++] = *p;
    }
    words[n] = '\0';
    if (word_find(value->key->high, value->text) > 0)
        return why_text(why, "%.*s comes with a later version; use %s",
                        (int)value->text.len, value->text.data, words);
    return why_text(why, "\"%.*s\" is not known; use %s", (int)value->text.len,
                    value->text.data, words);
}

static int
value_word(const struct value *value, void *at, struct why *why)
{
    if (word_find(value->key->low, value->text) == 0)
        return word_refuse(value, why);
    *(struct view *)at = value->text;
    return 0;
}

static int
value_choice(const struct value *value, void *at, struct why *why)
{
    unsigned n = word_find(value->key->low, value->text);

    if (n == 0)
        return word_refuse(value, why);
    *(uint64_t *)at = n;
    return 0;
}

static int
value_flag(const struct value *value, void *at, struct why *why)
{
    if (word_find(value->key->low, value->text) == 0)
        return word_refuse(value, why);
    *(uint64_t *)at = view_equal(value->text, VIEW("true"));
    return 0;
}

typedef int num_fn(struct view text, uint64_t min, uint64_t max,
                   uint64_t *value, struct why *why);

static int
value_between(num_fn *parse, const struct value *value, void *at,
              struct why *why)
{
    uint64_t low, high;

    if (parse(view_of(value->key->low), 0, UINT64_MAX, &low, NULL) != 0 ||
        parse(view_of(value->key->high), 0, UINT64_MAX, &high, NULL) != 0)
        bug("limits of %s", value->key->name);
    if (low < high)
        return parse(value->text, low, high, at, why);
    if (parse(value->text, 0, UINT64_MAX, at, why) != 0)
        return -1;
    if (*(uint64_t *)at != low)
        return why_text(why, "%.*s comes with a later version; use %s",
                        (int)value->text.len, value->text.data,
                        value->key->low);
    return 0;
}

static int
value_num(const struct value *value, void *at, struct why *why)
{
    return value_between(num_parse, value, at, why);
}

static int
value_size(const struct value *value, void *at, struct why *why)
{
    return value_between(num_parse_size, value, at, why);
}

static int
value_time(const struct value *value, void *at, struct why *why)
{
    return value_between(num_parse_duration, value, at, why);
}

static int
value_host(const struct value *value, void *at, struct why *why)
{
    struct conf_host host;

    if (conf_host_parse(value->text, &host, why) != 0)
        return -1;
    return value_text(value, at, why);
}

static int
value_address(const struct value *value, void *at, struct why *why)
{
    struct conf_host host;

    if (conf_host_parse(value->text, &host, why) != 0)
        return -1;
    if (host.kind == CONF_HOST_NAME || host.port == 0)
        return why_text(why,
                        "\"%.*s\": an address and a port are needed, as in "
                        "\"127.0.0.1:25\" or \"[::]:25\"",
                        (int)value->text.len, value->text.data);
    return value_text(value, at, why);
}

static value_fn *const value_by_kind[CONF_KIND_COUNT] = {
    [CONF_TEXT] = value_text,     [CONF_NAME] = value_name,
    [CONF_PATH] = value_path,     [CONF_WORD] = value_word,
    [CONF_CHOICE] = value_choice, [CONF_FLAG] = value_flag,
    [CONF_NUM] = value_num,       [CONF_SIZE] = value_size,
    [CONF_TIME] = value_time,     [CONF_ADDRESSES] = value_address,
    [CONF_HOSTS] = value_host,    [CONF_NAMES] = value_name,
    [CONF_TEXTS] = value_text,
};

int
conf_value_parse(struct conf_kept *kept, const struct conf_key *key,
                 struct view text, const char *directory, void *at,
                 struct why *why)
{
    const struct value value = {key, text, directory, kept};

    return value_by_kind[key->kind](&value, at, why);
}

/* --- values back as text --------------------------------------------------
 */

static bool
is_number(enum conf_kind kind)
{
    return kind == CONF_NUM || kind == CONF_SIZE || kind == CONF_TIME;
}

static const struct conf_key *
target_key(size_t i)
{
    for (size_t k = 0; k < conf_n_keys; k++)
        if (conf_keys[k].section == CONF_TARGET && i-- == 0)
            return &conf_keys[k];
    return NULL;
}

/* The nth word of "one two three". */
static struct view
word_at(const char *words, uint64_t n)
{
    struct view rest = view_of(words);

    while (n-- > 1 && rest.len > 0) {
        const char *blank = memchr(rest.data, ' ', rest.len);

        rest = blank == NULL ? (struct view){NULL, 0}
                             : view_skip(rest, (size_t)(blank - rest.data) + 1);
    }
    if (rest.len > 0 && memchr(rest.data, ' ', rest.len) != NULL)
        rest.len = (size_t)((const char *)memchr(rest.data, ' ', rest.len) -
                            rest.data);
    return rest;
}

static void
print_list(const struct record_list *list, struct buf *out)
{
    const struct conf_text *texts = list->items;

    for (size_t i = 0; i < list->count; i++) {
        buf_add_text(out, i > 0 ? " " : "");
        buf_add_view(out, texts[i].text);
    }
}

static void
print_value(const struct conf_key *key, const void *at, struct buf *out)
{
    char text[NUM_TEXT_MAX];

    if (conf_kind_is_list(key->kind))
        print_list(at, out);
    else if (key->kind == CONF_TIME)
        buf_add_text(out, num_print_duration(*(const uint64_t *)at, text));
    else if (key->kind == CONF_SIZE)
        buf_add_text(out, num_print_size(*(const uint64_t *)at, text));
    else if (key->kind == CONF_NUM)
        buf_addf(out, "%" PRIu64, *(const uint64_t *)at);
    else if (key->kind == CONF_FLAG)
        buf_add_text(out, *(const uint64_t *)at != 0 ? "true" : "false");
    else if (key->kind == CONF_CHOICE)
        buf_add_view(out, word_at(key->low, *(const uint64_t *)at));
    else
        buf_add_view(out, *(const struct view *)at);
}

bool
conf_target_key(const struct conf_target *target, size_t i, const char **name,
                struct buf *value)
{
    const struct conf_key *key = target_key(i);

    if (key == NULL)
        return false;
    *name = key->name;
    print_value(key, (const char *)target + key->offset, value);
    return true;
}

static const struct conf_key *
target_number(struct view name)
{
    const struct conf_key *key;

    for (size_t i = 0; (key = target_key(i)) != NULL; i++)
        if (is_number(key->kind) && view_equal(name, view_of(key->name)))
            return key;
    return NULL;
}

uint64_t
conf_target_number(const struct conf_target *target, struct view name)
{
    const struct conf_key *key = target_number(name);

    if (key == NULL)
        return 0;
    return *(const uint64_t *)(const void *)((const char *)target +
                                             key->offset);
}

int
conf_parse_target_number(struct view name, struct view text, uint64_t *value,
                         struct why *why)
{
    const struct conf_key *key = target_number(name);

    if (key == NULL)
        return why_text(why, "a target has no limit \"%.*s\"",
                        (int)(name.len < 80 ? name.len : 80), name.data);
    return conf_value_parse(NULL, key, text, "", value, why);
}
