/* SPDX-License-Identifier: ISC */
#include "ledger_chain.h"

#include <sodium.h>

#include "bytes.h"

void
ledger_chain_next(char head[LEDGER_HASH], uint64_t seq, struct view record)
{
    char number[8];
    crypto_generichash_state state;

    bytes_put64(number, seq);
    crypto_generichash_init(&state, NULL, 0, LEDGER_HASH);
    crypto_generichash_update(&state, (const unsigned char *)head, LEDGER_HASH);
    crypto_generichash_update(&state, (const unsigned char *)number,
                              sizeof(number));
    crypto_generichash_update(&state, (const unsigned char *)record.data,
                              record.len);
    crypto_generichash_final(&state, (unsigned char *)head, LEDGER_HASH);
}
