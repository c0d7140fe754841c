/* SPDX-License-Identifier: ISC */
/* See conf_key.h. A key whose member has not the type of its kind does not
 * compile. */
#include "conf_key.h"

#include "log.h"

#define NEEDED NULL

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define TYPE_TEXT      struct view
#define TYPE_NAME      struct view
#define TYPE_PATH      struct view
#define TYPE_WORD      struct view
#define TYPE_CHOICE    uint64_t
#define TYPE_FLAG      uint64_t
#define TYPE_NUM       uint64_t
#define TYPE_SIZE      uint64_t
#define TYPE_TIME      uint64_t
#define TYPE_ADDRESSES struct record_list
#define TYPE_HOSTS     struct record_list
#define TYPE_NAMES     struct record_list
#define TYPE_TEXTS     struct record_list

#define X(section, key, kind, type, member, initial, low, high, sentence)      \
    _Static_assert(                                                            \
        _Generic(((struct type *)0)->member, TYPE_##kind : 1, default : 0),    \
        #type "." #member " has not the type of " #kind);
#include "conf_table.h"
#undef X

const struct conf_key conf_keys[] = {
#define X(section, key, kind, type, member, initial, low, high, sentence)      \
    {CONF_##section, key, CONF_##kind, offsetof(struct type, member),          \
     initial,        low, high,        sentence},
#include "conf_table.h"
#undef X
};
const size_t conf_n_keys = COUNT(conf_keys);

const struct conf_section_row conf_sections[CONF_SECTION_COUNT] = {
    [CONF_ROOT] = {.name = ""},
    [CONF_TLS] = {.name = "tls"},
    [CONF_LISTEN] = {"listen", true, offsetof(struct conf, listens),
                     sizeof(struct conf_listen),
                     offsetof(struct conf_listen, service)},
    [CONF_TARGET] = {"target", true, offsetof(struct conf, targets),
                     sizeof(struct conf_target),
                     offsetof(struct conf_target, name)},
    [CONF_DOMAIN] = {"domain", true, offsetof(struct conf, domains),
                     sizeof(struct conf_domain),
                     offsetof(struct conf_domain, name)},
    [CONF_RESOLVER] = {.name = "resolver"},
    [CONF_LIMIT] = {.name = "limit"},
    [CONF_STORE] = {.name = "store"},
    [CONF_IMAP] = {.name = "imap"},
};

bool
conf_kind_is_list(enum conf_kind kind)
{
    return kind == CONF_ADDRESSES || kind == CONF_HOSTS ||
           kind == CONF_NAMES || kind == CONF_TEXTS;
}

static enum record_kind
record_kind_of(enum conf_kind kind)
{
    if (conf_kind_is_list(kind))
        return RECORD_LIST;
    if (kind == CONF_TEXT || kind == CONF_NAME || kind == CONF_PATH ||
        kind == CONF_WORD)
        return RECORD_VIEW;
    return RECORD_NUM;
}

static const struct record_field conf_text_fields[] = {
    RECORD_VIEW_FIELD(1, conf_text, text),
};
static RECORD_TYPE(conf_text);

/* One record a struct: the sections without a title share struct conf. */
static struct {
    struct record_field fields[COUNT(conf_keys) + CONF_SECTION_COUNT];
    struct record_type type;
} records[CONF_SECTION_COUNT];

static void
add_field(enum conf_section section, enum record_kind kind, size_t offset,
          const char *name, const struct record_type *of)
{
    struct record_type *type = &records[section].type;
    struct record_field *field = &records[section].fields[type->n_fields++];

    field->tag = (unsigned)type->n_fields;
    field->kind = kind;
    field->offset = offset;
    field->name = name;
    field->since = 1;
    field->of = of;
}

static void
make_records(void)
{
    for (unsigned s = CONF_ROOT; s < CONF_SECTION_COUNT; s++) {
        const struct conf_section_row *row = &conf_sections[s];

        records[s].type.name = s == CONF_ROOT ? "conf" : row->name;
        records[s].type.size = s == CONF_ROOT ? sizeof(struct conf) : row->size;
        records[s].type.fields = records[s].fields;
        if (!row->titled)
            continue;
        add_field(s, RECORD_VIEW, row->title, "title", NULL);
        add_field(CONF_ROOT, RECORD_LIST, row->list, row->name,
                  &records[s].type);
    }
    for (size_t i = 0; i < conf_n_keys; i++) {
        const struct conf_key *key = &conf_keys[i];
        bool titled = conf_sections[key->section].titled;

        add_field(titled ? key->section : CONF_ROOT, record_kind_of(key->kind),
                  key->offset, key->name, &conf_text_record);
    }
}

const struct record_type *
conf_record(void)
{
    if (records[CONF_ROOT].type.n_fields == 0)
        make_records();
    return &records[CONF_ROOT].type;
}
