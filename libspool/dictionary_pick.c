/* SPDX-License-Identifier: ISC */
/*
 * Greedy: what each string of GRAM bytes is worth is the number of samples
 * with it in a common piece. The piece that is worth most a byte is taken,
 * what it holds is worth nothing from then on, and so on until the room is
 * used. A piece's worth only falls, so pieces wait in a heap by what they
 * were worth when last looked at.
 */
#include "dictionary_pick.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

#define GRAM 8
/* Bytes a match costs, more or less: a long piece is better than many. */
#define MATCH      64
#define TABLE_BITS 21
#define TABLE      (UINT32_C(1) << TABLE_BITS)

struct waiting {
    double worth; /* a byte */
    uint32_t at;
    uint32_t len;
};

struct pick {
    const char *bytes;
    uint32_t *counts;  /* of each gram's hash */
    uint32_t *weighed; /* by which weighing it was counted last */
    uint32_t weighing;
    struct waiting *heap;
    size_t n;
};

static uint32_t
slot_of(const char *gram)
{
    uint64_t word;

    memcpy(&word, gram, GRAM);
    return (uint32_t)(word * UINT64_C(0xcf1bbcdcb7a56463) >> (64 - TABLE_BITS));
}

/* --- the heap: the piece worth most is first -------------------------------
 */

static void
heap_sink(struct pick *pick, size_t i)
{
    struct waiting moved = pick->heap[i];
    size_t child;

    while ((child = 2 * i + 1) < pick->n) {
        if (child + 1 < pick->n &&
            pick->heap[child + 1].worth > pick->heap[child].worth)
            child++;
        if (pick->heap[child].worth <= moved.worth)
            break;
        pick->heap[i] = pick->heap[child];
        i = child;
    }
    pick->heap[i] = moved;
}

static void
heap_drop(struct pick *pick)
{
    pick->heap[0] = pick->heap[--pick->n];
    if (pick->n > 0)
        heap_sink(pick, 0);
}

/* --- worth ---------------------------------------------------------------- */

/* Once a sample, however often it is there. */
static void
count_grams(struct pick *pick, const struct dictionary_pieces *pieces)
{
    uint32_t *last = mem_alloc(TABLE * sizeof(*last));

    for (size_t i = 0; i < pieces->n; i++) {
        const struct dictionary_piece *piece = &pieces->items[i];

        for (uint32_t k = 0; k + GRAM <= piece->len; k++) {
            uint32_t slot = slot_of(pick->bytes + piece->at + k);

            if (last[slot] == piece->sample + 1)
                continue;
            last[slot] = piece->sample + 1;
            pick->counts[slot]++;
        }
    }
    free(last);
}

static uint32_t
count_at(const struct pick *pick, const struct waiting *piece, uint32_t k)
{
    return pick->counts[slot_of(pick->bytes + piece->at + k)];
}

/* Cuts off at both ends what is worth nothing any more, and weighs the rest.
 * A gram that is in the piece twice counts once. */
static void
weigh(struct pick *pick, struct waiting *piece)
{
    uint64_t sum = 0;

    while (piece->len >= GRAM && count_at(pick, piece, 0) == 0) {
        piece->at++;
        piece->len--;
    }
    while (piece->len >= GRAM && count_at(pick, piece, piece->len - GRAM) == 0)
        piece->len--;
    pick->weighing++;
    for (uint32_t k = 0; k + GRAM <= piece->len; k++) {
        uint32_t slot = slot_of(pick->bytes + piece->at + k);

        if (pick->weighed[slot] != pick->weighing)
            sum += pick->counts[slot];
        pick->weighed[slot] = pick->weighing;
    }
    piece->worth = piece->len >= GRAM ? (double)sum / (piece->len + MATCH) : 0;
}

/* --- picking -------------------------------------------------------------- */

static void
fill_heap(struct pick *pick, const struct dictionary_pieces *pieces)
{
    pick->heap = mem_alloc((pieces->n + 1) * sizeof(*pick->heap));
    for (size_t i = 0; i < pieces->n; i++) {
        struct waiting piece = {.at = pieces->items[i].at,
                                .len = pieces->items[i].len};

        weigh(pick, &piece);
        if (piece.worth > 0)
            pick->heap[pick->n++] = piece;
    }
    for (size_t i = pick->n / 2; i-- > 0;)
        heap_sink(pick, i);
}

/* Puts the first piece in front of what is in out. */
static void
take_first(struct pick *pick, char *out, size_t *left)
{
    const struct waiting *piece = &pick->heap[0];

    *left -= piece->len;
    memcpy(out + *left, pick->bytes + piece->at, piece->len);
    for (uint32_t k = 0; k + GRAM <= piece->len; k++)
        pick->counts[slot_of(pick->bytes + piece->at + k)] = 0;
}

size_t
dictionary_pick(struct view bytes, const struct dictionary_pieces *pieces,
                char *out, size_t room)
{
    struct pick pick = {.bytes = bytes.data,
                        .counts = mem_alloc(TABLE * sizeof(uint32_t)),
                        .weighed = mem_alloc(TABLE * sizeof(uint32_t))};
    size_t left = room;

    count_grams(&pick, pieces);
    fill_heap(&pick, pieces);
    while (pick.n > 0) {
        double before = pick.heap[0].worth;

        weigh(&pick, &pick.heap[0]);
        if (pick.heap[0].worth <= 0 || pick.heap[0].len > left) {
            heap_drop(&pick);
        } else if (pick.heap[0].worth < before) {
            heap_sink(&pick, 0);
        } else {
            take_first(&pick, out, &left);
            heap_drop(&pick);
        }
    }
    free(pick.heap);
    free(pick.counts);
    free(pick.weighed);
    memmove(out, out + left, room - left);
    return room - left;
}
