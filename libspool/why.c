/* SPDX-License-Identifier: ISC */
#include "why.h"

#include <stdarg.h>
#include <stdio.h>

static void
why_fill(struct why *why, int code, const char *enhanced, const char *format,
         va_list ap)
{
    if (why == NULL)
        return;
    why->code = code;
    snprintf(why->enhanced, sizeof(why->enhanced), "%s", enhanced);
    vsnprintf(why->text, sizeof(why->text), format, ap);
}

int
why_set(struct why *why, int code, const char *enhanced, const char *format,
        ...)
{
    va_list ap;

    va_start(ap, format);
    why_fill(why, code, enhanced, format, ap);
    va_end(ap);
    return -1;
}

int
why_text(struct why *why, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    why_fill(why, 0, "", format, ap);
    va_end(ap);
    return -1;
}
