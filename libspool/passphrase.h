/* SPDX-License-Identifier: ISC */
/* A passphrase typed on the terminal, without echo. */
#ifndef SPOOL_PASSPHRASE_H
#define SPOOL_PASSPHRASE_H

/* Asks on /dev/tty: "PROMPT: ". NULL: there is no terminal, or nothing was
 * typed. The caller wipes and frees it (passphrase_free). */
char *passphrase_ask(const char *prompt);
void passphrase_free(char **passphrase);

#endif
