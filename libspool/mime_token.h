/* SPDX-License-Identifier: ISC */
/*
 * Values of structured header fields (RFC 2045 5.1, RFC 2183, RFC 5322 3.2):
 * tokens, quoted strings and comments taken off the front of a view. Values
 * are unfolded (mime.h); broken ones give what can be read of them.
 */
#ifndef SPOOL_MIME_TOKEN_H
#define SPOOL_MIME_TOKEN_H

#include "buf.h"
#include "view.h"

/* Blanks, line ends and comments, nested ones too, go off the front. */
void mime_token_skip(struct view *value);
/* Takes a token of RFC 2045 and the blanks and comments after it. False: none
 * is there. Borrowed from value. */
bool mime_token_take(struct view *value, struct view *token);
/* Takes a quoted string, whose first byte is at the front; appends it without
 * quotes and backslashes. One without its last quote ends with value. */
void mime_token_take_quoted(struct view *value, struct buf *out);

/* Takes "type/subtype" off the front. False: there is no type or no subtype,
 * but *type is set as far as it goes. */
bool mime_token_take_type(struct view *value, struct view *type,
                          struct view *subtype);

/* Parameters in one value at the most; further ones are not seen. */
#define MIME_PARAMS_MAX 100

struct mime_param {
    struct view name;  /* as given; "name*" where RFC 2231 encodes the value */
    struct view value; /* without quotes; sections of RFC 2231 3 are joined */
};

struct mime_params {
    struct mime_param items[MIME_PARAMS_MAX];
    size_t count;
    struct buf text; /* what the views borrow */
};

/* All parameters (";" attribute "=" value ...) of what is left of value,
 * in order. Views are valid until the next call with params. Zero-initialised
 * params are empty; free with mime_params_free. */
void mime_params_parse(struct view value, struct mime_params *params);
void mime_params_free(struct mime_params *params);
/* Any case; NULL: none. */
const struct mime_param *mime_params_find(const struct mime_params *params,
                                          struct view name);

#endif
