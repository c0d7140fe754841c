/* SPDX-License-Identifier: ISC */
#include "imap_utf7.h"

#include "utf8.h"

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool
is_direct(uint32_t c)
{
    return c >= 0x20 && c <= 0x7e && c != '&';
}

/* --- decoding ------------------------------------------------------------- */

/* UTF-16 units of one shifted run, coming in. */
struct units {
    uint32_t bits; /* not yet a whole unit */
    unsigned n_bits;
    uint32_t high; /* a high surrogate that waits for its low one */
    struct buf *out;
};

static int
units_add(struct units *units, uint32_t unit)
{
    if (units->high != 0) {
        if (unit < 0xdc00 || unit > 0xdfff)
            return -1;
        utf8_put(units->out,
                 0x10000 + ((units->high - 0xd800) << 10) + (unit - 0xdc00));
        units->high = 0;
        return 0;
    }
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return -1;
    if (unit >= 0xd800 && unit <= 0xdbff) {
        units->high = unit;
        return 0;
    }
    if (is_direct(unit) || unit == 0)
        return -1; /* it has a shorter form, or none */
    utf8_put(units->out, unit);
    return 0;
}

/* What is between "&" and "-". */
static int
decode_run(struct view run, struct buf *utf8)
{
    struct units units = {.out = utf8};

    for (size_t i = 0; i < run.len; i++) {
        const char *at = memchr(digits, run.data[i], sizeof(digits) - 1);

        if (at == NULL)
            return -1;
        units.bits = (units.bits << 6 | (uint32_t)(at - digits)) & 0xffffff;
        units.n_bits += 6;
        if (units.n_bits < 16)
            continue;
        units.n_bits -= 16;
        if (units_add(&units, units.bits >> units.n_bits & 0xffff) != 0)
            return -1;
        units.bits &= (1u << units.n_bits) - 1;
    }
    return units.high == 0 && units.n_bits < 6 && units.bits == 0 ? 0 : -1;
}

int
imap_utf7_decode(struct view name, struct buf *utf8)
{
    bool after_run = false;

    while (name.len > 0) {
        const char *end;
        struct view run;

        if (name.data[0] != '&') {
            if (!is_direct((uint8_t)name.data[0]))
                return -1;
            buf_add_byte(utf8, (uint8_t)name.data[0]);
            name = view_skip(name, 1);
            after_run = false;
            continue;
        }
        end = memchr(name.data, '-', name.len);
        if (end == NULL)
            return -1;
        run = (struct view){name.data + 1, (size_t)(end - name.data) - 1};
        name = view_skip(name, run.len + 2);
        if (run.len == 0) {
            buf_add_byte(utf8, '&');
            after_run = false;
        } else if (after_run || decode_run(run, utf8) != 0) {
            return -1; /* two runs are written as one */
        } else {
            after_run = true;
        }
    }
    return 0;
}

/* --- encoding ------------------------------------------------------------- */

struct run {
    uint32_t bits;
    unsigned n_bits;
    bool open;
    struct buf *out;
};

static void
run_add(struct run *run, uint32_t unit)
{
    if (!run->open)
        buf_add_byte(run->out, '&');
    run->open = true;
    run->bits = run->bits << 16 | unit;
    run->n_bits += 16;
    while (run->n_bits >= 6) {
        run->n_bits -= 6;
        buf_add_byte(run->out, (uint8_t)digits[run->bits >> run->n_bits & 63]);
    }
    run->bits &= (1u << run->n_bits) - 1;
}

static void
run_end(struct run *run)
{
    if (!run->open)
        return;
    if (run->n_bits > 0)
        buf_add_byte(run->out,
                     (uint8_t)digits[run->bits << (6 - run->n_bits) & 63]);
    buf_add_byte(run->out, '-');
    *run = (struct run){.out = run->out};
}

void
imap_utf7_encode(struct view utf8, struct buf *out)
{
    struct run run = {.out = out};

    while (utf8.len > 0) {
        uint32_t c = utf8_take(&utf8);

        if (is_direct(c)) {
            run_end(&run);
            buf_add_byte(out, (uint8_t)c);
        } else if (c == '&') {
            run_end(&run);
            buf_add_text(out, "&-");
        } else if (c < 0x10000) {
            run_add(&run, c);
        } else {
            run_add(&run, 0xd800 + ((c - 0x10000) >> 10));
            run_add(&run, 0xdc00 + ((c - 0x10000) & 0x3ff));
        }
    }
    run_end(&run);
}
