/* SPDX-License-Identifier: ISC */
/*
 * The compressor, and what it leaves in memory. zstd copies the literals of a
 * block to the end of its work space, which therefore is memory of ours: it
 * is wiped there after each piece that will be sealed. That is no promise of
 * zstd's, so it is tried once with a piece of random bytes; where another
 * version puts them elsewhere, the context is made anew for each piece and
 * its whole memory wiped, which costs some ten microseconds.
 */
#define ZSTD_STATIC_LINKING_ONLY /* custom memory */
#include "body_pack.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "log.h"
#include "mem.h"

/* The context and its work space; while this grows, the old one too. */
#define AREAS_MAX 4
/* zstd copies in steps: a copy may be longer by this. */
#define OVERLENGTH 64
#define TRIAL_LEN  4096

struct area {
    char *data; /* NULL: free */
    size_t len;
};

static struct {
    ZSTD_CCtx *context;
    struct area areas[AREAS_MAX];
    bool tried;
    bool anew;   /* wiping the ends is not enough */
    uint64_t id; /* of the dictionary, 0: none */
    struct buf bytes;
    ZSTD_CDict *dictionary; /* for level, made when first needed */
    int level;
} packer;

/* --- memory --------------------------------------------------------------- */

static void *
area_new(void *unused, size_t len)
{
    (void)unused;
    for (size_t i = 0; i < AREAS_MAX; i++) {
        if (packer.areas[i].data != NULL)
            continue;
        packer.areas[i] = (struct area){mem_alloc(len), len};
        return packer.areas[i].data;
    }
    return NULL;
}

static void
area_free(void *unused, void *data)
{
    (void)unused;
    for (size_t i = 0; data != NULL && i < AREAS_MAX; i++) {
        if (packer.areas[i].data != data)
            continue;
        explicit_bzero(data, packer.areas[i].len);
        free(data);
        packer.areas[i].data = NULL;
    }
}

/* The copy of a piece of that length. */
static void
wipe_ends(size_t len)
{
    for (size_t i = 0; i < AREAS_MAX; i++) {
        const struct area *area = &packer.areas[i];

        /* The shortest is the context itself: it holds no content. */
        if (area->data != NULL && area->len >= len + OVERLENGTH &&
            (const void *)area->data != (const void *)packer.context)
            explicit_bzero(area->data + area->len - len - OVERLENGTH,
                           len + OVERLENGTH);
    }
}

static bool
areas_hold(struct view bytes)
{
    for (size_t i = 0; i < AREAS_MAX; i++)
        if (packer.areas[i].data != NULL &&
            memmem(packer.areas[i].data, packer.areas[i].len, bytes.data,
                   bytes.len) != NULL)
            return true;
    return false;
}

/* --- the dictionary ------------------------------------------------------- */

int
body_use_dictionary(uint64_t id, struct view bytes, struct why *why)
{
    if (bytes.len > 0 &&
        ZSTD_getDictID_fromDict(bytes.data, bytes.len) != (unsigned)id)
        return why_text(why, "not the dictionary it says it is");
    ZSTD_freeCDict(packer.dictionary);
    packer.dictionary = NULL;
    buf_reset(&packer.bytes);
    buf_add_view(&packer.bytes, bytes);
    packer.id = bytes.len > 0 ? id : 0;
    return 0;
}

static ZSTD_CDict *
packer_dictionary(int level)
{
    if (packer.id == 0)
        return NULL;
    if (packer.dictionary == NULL || packer.level != level) {
        ZSTD_freeCDict(packer.dictionary);
        packer.dictionary =
            ZSTD_createCDict(packer.bytes.data, packer.bytes.len, level);
        packer.level = level;
    }
    return packer.dictionary;
}

/* --- packing -------------------------------------------------------------- */

static size_t
compress(const struct body_pack *how, const ZSTD_CDict *dictionary,
         struct view raw, char *out, size_t room)
{
    const ZSTD_customMem memory = {area_new, area_free, NULL};
    size_t packed;

    if (packer.context == NULL &&
        (packer.context = ZSTD_createCCtx_advanced(memory)) == NULL)
        fatal("out of memory for compression");
    ZSTD_CCtx_reset(packer.context, ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(packer.context, ZSTD_c_compressionLevel, how->level);
    /* A sealed piece needs no other check. */
    ZSTD_CCtx_setParameter(packer.context, ZSTD_c_checksumFlag, !how->sealed);
    if (dictionary != NULL)
        ZSTD_CCtx_refCDict(packer.context, dictionary);
    packed = ZSTD_compress2(packer.context, out, room, raw.data, raw.len);
    if (how->sealed)
        wipe_ends(raw.len);
    if (how->sealed && packer.anew) {
        ZSTD_freeCCtx(packer.context);
        packer.context = NULL;
    }
    return ZSTD_isError(packed) ? 0 : packed;
}

/* Does wiping the ends leave nothing? */
static void
try_once(const struct body_pack *how)
{
    static char raw[TRIAL_LEN], out[TRIAL_LEN];

    packer.tried = true;
    randombytes_buf(raw, sizeof(raw));
    compress(how, NULL, (struct view){raw, sizeof(raw)}, out, sizeof(out));
    for (size_t at = 0; at < TRIAL_LEN && !packer.anew; at += 32)
        packer.anew = areas_hold((struct view){raw + at, 32});
}

size_t
body_pack(const struct body_pack *how, struct view raw, char *out, size_t room,
          uint64_t *id)
{
    const ZSTD_CDict *dictionary =
        how->dictionary ? packer_dictionary(how->level) : NULL;
    size_t packed;

    if (how->sealed && !packer.tried)
        try_once(how);
    packed = compress(how, dictionary, raw, out, room);
    *id = packed > 0 && dictionary != NULL ? packer.id : 0;
    return packed;
}
