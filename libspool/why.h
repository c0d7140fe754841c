/* SPDX-License-Identifier: ISC */
/*
 * Why something was refused or failed, in words that can be shown: an SMTP
 * reply code (RFC 5321 4.2), an enhanced status code (RFC 3463) and a text.
 * Where no SMTP peer is concerned, code is 0 and enhanced is empty.
 */
#ifndef SPOOL_WHY_H
#define SPOOL_WHY_H

#define WHY_TEXT_MAX 256

struct why {
    int code;
    char enhanced[12];
    char text[WHY_TEXT_MAX];
};

/* Fills *why (NULL is allowed: nobody asks) and returns -1, so that a
 * function can end with "return why_set(...)". Text too long is cut. */
int why_set(struct why *why, int code, const char *enhanced, const char *format,
            ...) __attribute__((format(printf, 4, 5)));

/* The same without SMTP codes. */
int why_text(struct why *why, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
